"""Looks that are cut off."""

from __future__ import annotations

import time

import pytest

from bootstrapper.errors import (
    UnreachableError,
)
from tests.engine.notes import ONE_TABLE, note
from tests.projects import TrialProject
from tests.waiting import at_most


def test_a_connection_that_dies_while_planning_is_an_unreachable_database(project: TrialProject) -> None:
    note(project, changes="context.connection.execute('SELECT pg_terminate_backend(pg_backend_pid())')")
    with pytest.raises(UnreachableError):
        project.plan()


def test_a_look_does_not_outlast_the_run(project: TrialProject) -> None:
    project.write(ONE_TABLE.replace("{table: one}", '{sql: "SELECT pg_sleep(30) IS NULL"}'))
    started = time.monotonic()
    with pytest.raises(UnreachableError):
        project.plan(timeout_seconds=1.0)
    assert time.monotonic() - started < at_most(10)
