"""Plan and apply on a real server, through steps of the test's own."""

from __future__ import annotations

import pytest

from bootstrapper.errors import (
    NotConvergedError,
    PluginFailedError,
    StepFailedError,
)
from bootstrapper.events import (
    RunFinished,
    ScopeEntered,
    ScopeLeft,
    StepApplied,
    StepFailed,
    StepStarted,
    StepUnchanged,
)
from bootstrapper.plans import State
from tests.engine.notes import ONE_TABLE, TWO_TABLES, note
from tests.projects import TrialProject


def test_a_run_that_fails_counts_the_steps_that_it_applied(project: TrialProject) -> None:
    project.write(ONE_TABLE + "  - uses: sql\n    with: {statement: SELECT 1/0}\n    check: never\n")
    with pytest.raises(StepFailedError):
        project.apply()
    assert [event.applied for event in project.events if isinstance(event, RunFinished)] == [1]


def test_a_run_is_named_in_the_servers_list_of_sessions(project: TrialProject) -> None:
    note(
        project, apply="context.connection.execute(\"CREATE TABLE note AS SELECT current_setting('application_name')\")"
    )
    run_id = project.apply().run_id
    assert project.rows("SELECT * FROM note") == [(f"bootstrapper/trial/{run_id}",)]


@pytest.mark.smoke
def test_plan_shows_every_step_and_leaves_nothing_behind(project: TrialProject) -> None:
    project.write(TWO_TABLES)
    plan = project.plan()
    assert [(step.name, step.state) for step in plan.steps] == [
        ("wait", State.DONE),
        ("lock", State.PENDING),
        ("one", State.PENDING),
        ("two", State.PENDING),
    ]
    assert not project.has("one")
    assert project.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'bootstrapper'") == []


@pytest.mark.smoke
def test_apply_does_what_plan_showed_and_then_has_nothing_to_do(project: TrialProject) -> None:
    project.write(TWO_TABLES)
    first = project.apply()
    assert [step.name for step in first.applied] == ["one", "two"]
    assert project.has("one")
    assert project.has("two")
    second = project.apply()
    assert second.applied == ()
    assert second.run_id is None
    assert project.plan().pending == ()


@pytest.mark.smoke
def test_only_the_missing_step_is_applied(project: TrialProject) -> None:
    project.write(TWO_TABLES)
    project.apply()
    project.rows("DROP TABLE two")
    assert [step.name for step in project.apply().applied] == ["two"]


@pytest.mark.smoke
def test_nothing_to_do_takes_no_lock_and_writes_nothing(project: TrialProject) -> None:
    project.write(TWO_TABLES)
    project.apply()
    before = project.rows("SELECT pg_current_snapshot()::text, (SELECT count(*) FROM bootstrapper.runs)")
    project.events.clear()
    project.apply()
    assert not [event for event in project.events if isinstance(event, ScopeEntered)]
    after = project.rows("SELECT pg_current_snapshot()::text, (SELECT count(*) FROM bootstrapper.runs)")
    assert before == after  # not one transaction number was used


@pytest.mark.smoke
def test_the_ledger_tells_the_run_and_its_steps(project: TrialProject) -> None:
    project.write(TWO_TABLES)
    outcome = project.apply()
    runs = project.rows("SELECT run_id, command, outcome, error FROM bootstrapper.runs")
    assert runs == [(outcome.run_id, "apply", "done", None)]
    steps = project.rows("SELECT step, kind, changes - 'seconds' FROM bootstrapper.steps ORDER BY id")
    assert steps == [("one", "result", {"run": 1}), ("two", "result", {"run": 1})]
    assert project.rows("SELECT count(*) FROM bootstrapper.steps WHERE (changes ->> 'seconds')::float > 0") == [(2,)]
    assert project.rows("SELECT run_id FROM bootstrapper.lock") == [(None,)]


@pytest.mark.smoke
def test_a_failing_step_keeps_what_earlier_steps_did_and_leaves_nothing_itself(project: TrialProject) -> None:
    project.write(
        TWO_TABLES
        + """
  - uses: sql
    name: half
    with: {statement: "CREATE TABLE half (); SELECT 1/0"}
    check: {table: half}
  - uses: sql
    name: later
    with: {statement: "CREATE TABLE later ()"}
    check: {table: later}
"""
    )
    with pytest.raises(StepFailedError, match="division by zero"):
        project.apply()
    assert project.has("two")
    assert not project.has("half")
    assert not project.has("later")
    assert project.rows(
        "SELECT outcome, run_id FROM bootstrapper.runs, bootstrapper.lock".replace("run_id", "lock.run_id")
    ) == [("failed", None)]
    names = [type(event).__name__ for event in project.events if not isinstance(event, StepApplied)]
    assert names[-4:] == ["StepStarted", "StepFailed", "ScopeLeft", "RunFinished"]


@pytest.mark.smoke
def test_a_step_whose_check_still_fails_is_rolled_back(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: sql
    with: {statement: "CREATE TABLE one ()"}
    check: {table: other}
""")
    with pytest.raises(NotConvergedError, match="check table: other answers no"):
        project.apply()
    assert not project.has("one")
    assert project.rows("SELECT count(*) FROM bootstrapper.steps") == [(0,)]


@pytest.mark.smoke
def test_once_is_done_once_whatever_becomes_of_its_effect(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: sql
    with: {statement: "CREATE TABLE one ()"}
    check: {once: create-one-2026}
""")
    assert len(project.apply().applied) == 1
    project.rows("DROP TABLE one")
    assert project.apply().applied == ()
    assert project.rows("SELECT marks FROM bootstrapper.steps") == [(["create-one-2026"],)]


@pytest.mark.smoke
def test_events_tell_the_run_in_order(project: TrialProject) -> None:
    project.write(TWO_TABLES)
    project.apply()
    kinds = [type(event) for event in project.events]
    assert kinds.index(ScopeEntered) < kinds.index(StepStarted) < kinds.index(StepApplied) < kinds.index(ScopeLeft)
    assert StepFailed not in kinds
    project.events.clear()
    project.apply(force=False)
    assert StepUnchanged not in [type(event) for event in project.events]


LOCAL_STEP = """
from bootstrapper import Change, Step, StepModel, hookimpl

class NoteOptions(StepModel):
    text: str

class Note(Step[NoteOptions]):
    uses = "note"
    def changes(self, context):
        if context.connection.execute("SELECT to_regclass('note')").fetchone() == (None,):
            return [Change.create(f"note {self.options.text}")]
        return []
    def apply(self, context, changes):
        from sqlalchemy import text
        connection = context.sqlalchemy()
        with connection.begin():
            connection.execute(text("CREATE TABLE note (body text)"))
            connection.execute(text("INSERT INTO note VALUES (:body)"), {"body": self.options.text})

@hookimpl
def bootstrapper_steps():
    return [Note]
"""


NOTE = """
plugins: [./plugins]
steps:
  - uses: lock
  - uses: note
    with: {text: "${NOTE_TEXT}"}
"""


@pytest.mark.smoke
def test_a_plugins_step_may_use_sqlalchemy_inside_the_fenced_transaction(project: TrialProject) -> None:
    project.write(LOCAL_STEP, "plugins/note.py")
    project.write(NOTE)
    project.variables["NOTE_TEXT"] = "hello"
    assert [change.target for change in project.plan().steps[-1].changes] == ["note hello"]
    project.apply()
    assert project.rows("SELECT body FROM note") == [("hello",)]
    assert project.apply().applied == ()


@pytest.mark.smoke
def test_a_failing_plugin_leaves_nothing_although_it_committed(project: TrialProject) -> None:
    project.write(
        LOCAL_STEP.replace('{"body": self.options.text})', '{"body": self.options.text}); 1 / 0'), "plugins/note.py"
    )
    project.write(NOTE)
    project.variables["NOTE_TEXT"] = "hello"
    with pytest.raises(PluginFailedError, match="ZeroDivisionError"):
        project.apply()
    assert not project.has("note")


@pytest.mark.smoke
def test_a_finding_that_the_server_refuses_is_an_error_of_the_step(project: TrialProject) -> None:
    project.write("plugins: [./plugins]\nsteps: [{uses: lock}, {uses: curious}]\n")
    project.write(
        "from bootstrapper import Change, Step, hookimpl\n\n\n"
        "class Curious(Step):\n    uses = 'curious'\n\n"
        "    def changes(self, context):\n        return [Change.run('something')]\n\n"
        "    def findings(self, context, changes):\n        context.connection.execute('SELECT 1/0')\n\n"
        "    def apply(self, context, changes):\n        pass\n\n\n"
        "@hookimpl\ndef bootstrapper_steps():\n    return [Curious]\n",
        "plugins/curious.py",
    )
    with pytest.raises(StepFailedError, match="division by zero"):
        project.plan()


@pytest.mark.smoke
def test_a_step_with_check_never_that_has_nothing_to_do_is_done(project: TrialProject) -> None:
    project.write(LOCAL_STEP, "plugins/note.py")
    project.write(NOTE + "    check: never\n")
    project.variables["NOTE_TEXT"] = "hello"
    project.apply()
    assert project.plan().steps[-1].state is State.DONE


def test_what_only_apply_needs_is_neither_in_a_plan_nor_kept_after_apply(project: TrialProject) -> None:
    project.write(ONE_TABLE)
    outcome = project.apply()
    changes = [change for step in (*outcome.plan.steps, *outcome.applied) for change in step.changes]
    assert [change.payload for change in changes] == [None, None]
