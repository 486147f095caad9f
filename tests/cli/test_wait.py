"""Tests of `wait`."""

from __future__ import annotations

import psycopg
import pytest

from tests.cli.project import Project

pytestmark = pytest.mark.smoke


def rows(project: Project, query: bytes) -> list[tuple[object, ...]]:
    with psycopg.connect(project.url) as connection:
        return connection.execute(query).fetchall()


def test_wait_only_waits(project: Project) -> None:
    run = project.run("wait")
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines()[-1] == "ready: the database accepts connections"
    assert rows(project, b"SELECT to_regclass('notes')") == [(None,)]
