"""Connections that are lost in the middle of a run."""

from __future__ import annotations

import threading

import pytest

from bootstrapper.engine.reconnect import MOST_COMEBACKS
from bootstrapper.errors import (
    PluginFailedError,
    UnreachableError,
)
from bootstrapper.events import Warned
from tests.engine.notes import note
from tests.projects import TrialProject
from tests.waiting import eventually


def end_holder(project: TrialProject) -> None:
    """Ends the connection of the run once its program is at work."""
    assert eventually(lambda: (project.folder / "started").exists())
    project.rows("SELECT pg_terminate_backend(backend_pid) FROM bootstrapper.lock")


def test_a_step_whose_connection_died_gets_no_new_one_without_the_fence(project: TrialProject) -> None:
    note(
        project,
        apply="try: context.connection.execute('SELECT pg_terminate_backend(pg_backend_pid())')\n"
        "        except Exception: context.connection.execute('CREATE TABLE note ()')",
    )
    with pytest.raises(UnreachableError):
        project.apply()
    assert not project.has("note")
    assert len([event for event in project.events if isinstance(event, Warned)]) == MOST_COMEBACKS


def test_a_run_whose_connection_is_lost_comes_back_and_does_the_step_once(project: TrialProject) -> None:
    note(
        project,
        apply="from pathlib import Path\n"
        "        context.connection.execute('CREATE TABLE note ()')\n"
        "        if not Path(context.path('cut')).exists():\n"
        "            Path(context.path('cut')).touch()\n"
        "            context.connection.execute('SELECT pg_terminate_backend(pg_backend_pid())')",
    )
    assert [step.name for step in project.apply().applied] == ["note"]
    assert project.rows("SELECT count(*) FROM bootstrapper.steps WHERE kind = 'result'") == [(1,)]
    assert project.rows("SELECT outcome FROM bootstrapper.runs ORDER BY serial") == [(None,), ("done",)]


def test_a_program_that_was_cut_off_is_not_started_again(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: command
    with: {run: [sh, -c, "echo again >> started; exec sleep 30"]}
    check: never
""")
    cutter = threading.Thread(target=end_holder, args=[project])
    cutter.start()
    with pytest.raises(UnreachableError):
        project.apply()
    cutter.join()
    assert (project.folder / "started").read_text() == "again\n"


def test_an_error_of_a_step_is_not_hidden_by_its_lost_connection(project: TrialProject) -> None:
    note(
        project,
        apply="import psycopg, socket, os\n"
        "        with socket.socket(fileno=os.dup(context.connection.fileno())) as line:\n"
        "            line.shutdown(socket.SHUT_RDWR)\n"
        "        raise RuntimeError('the real reason')",
    )
    with pytest.raises(PluginFailedError, match="the real reason"):
        project.apply()
