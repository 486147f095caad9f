"""A step at its turn: transactions, deadlines, retries and failures."""

from __future__ import annotations

import pytest

from bootstrapper.errors import (
    PluginFailedError,
    StepFailedError,
)
from bootstrapper.events import StepFailed, Warned
from tests.engine.notes import note
from tests.projects import TrialProject


def test_a_step_that_ends_its_transaction_is_found_out(project: TrialProject) -> None:
    note(project, apply="context.connection.execute('CREATE TABLE note ()'); context.connection.execute('COMMIT')")
    with pytest.raises(PluginFailedError, match="transaction"):
        project.apply()
    assert project.rows("SELECT count(*) FROM bootstrapper.steps") == [(0,)]


def test_a_step_that_begins_a_transaction_of_its_own_is_found_out(project: TrialProject) -> None:
    note(
        project,
        apply="context.connection.execute('COMMIT'); context.connection.execute('BEGIN')\n"
        "        context.connection.execute('CREATE TABLE public.note ()')",
    )
    with pytest.raises(PluginFailedError, match="transaction"):
        project.apply()
    assert not project.has("note")


def test_a_step_that_swallows_an_error_of_the_server_fails(project: TrialProject) -> None:
    note(
        project,
        apply="context.connection.execute('CREATE TABLE note ()')\n"
        "        try: context.connection.execute('SELECT 1/0')\n"
        "        except Exception: pass",
    )
    with pytest.raises(StepFailedError, match="aborted"):
        project.apply()
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("failed",)]


def test_what_a_failed_step_left_open_is_not_committed(project: TrialProject) -> None:
    note(
        project,
        attributes="transactional = False",
        apply="context.connection.execute('BEGIN'); context.connection.execute('CREATE TABLE note ()')\n"
        "        raise RuntimeError('half way')",
    )
    with pytest.raises(PluginFailedError, match="half way"):
        project.apply()
    assert not project.has("note")
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("failed",)]


def test_a_step_outside_a_transaction_may_not_leave_one_open(project: TrialProject) -> None:
    note(
        project,
        attributes="transactional = False",
        apply="context.connection.execute('BEGIN'); context.connection.execute('CREATE TABLE note ()')",
    )
    with pytest.raises(StepFailedError, match="transaction"):
        project.apply()
    assert not project.has("note")


def test_a_step_that_is_interrupted_leaves_nothing_and_the_ledger_says_so(project: TrialProject) -> None:
    note(
        project,
        apply="context.connection.execute('CREATE TABLE note ()')\n"
        "        copy = context.connection.cursor().copy('COPY note FROM STDIN').__enter__()\n"
        "        raise KeyboardInterrupt",
    )
    with pytest.raises(KeyboardInterrupt):
        project.apply()
    assert not project.has("note")
    assert [step.name for step in project.plan().pending] == ["note"]


def test_secrets_are_masked_in_the_event_of_a_failure(project: TrialProject) -> None:
    note(project, apply="raise RuntimeError('password is correct horse')")
    with pytest.raises(PluginFailedError):
        project.apply()
    told = [event.reason for event in project.events if isinstance(event, StepFailed)]
    assert "Note.apply() raised RuntimeError: password is ***, line" in "".join(told)


def test_a_step_that_is_not_done_in_its_time_says_so_and_leaves_nothing(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: sql
    timeout: 500ms
    with: {statement: "CREATE TABLE late (); SELECT pg_sleep(30)"}
    check: {table: late}
""")
    with pytest.raises(StepFailedError, match="exceeded its deadline"):
        project.apply()
    assert not project.has("late")
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("failed",)]


def test_a_step_that_runs_into_a_deadlock_is_retried(project: TrialProject) -> None:
    project.rows("CREATE TABLE busy (n int)")
    note(
        project,
        apply="from pathlib import Path\n"
        "        path = Path(context.path('met'))\n"
        "        if not path.exists():\n"
        "            path.touch()\n"
        "            code = \"DO $$ BEGIN RAISE EXCEPTION 'met' USING ERRCODE = '40P01'; END $$\"\n"
        "            context.connection.execute(code)\n"
        "        context.connection.execute('CREATE TABLE note ()')",
    )
    assert [step.name for step in project.apply().applied] == ["note"]
    assert [event for event in project.events if isinstance(event, Warned)]
