"""Plan and apply on a real server, through steps of the test's own."""

from __future__ import annotations

import pytest

from bootstrapper.errors import (
    CheckFailedError,
    InvalidFileError,
    NotConvergedError,
    StepFailedError,
    UndecidedError,
    UsageError,
)
from bootstrapper.events import ScopeEntered, ScopeLeft, StepApplied, StepFailed, StepStarted, StepUnchanged
from bootstrapper.plans import Action, State, Verdict
from tests.projects import TrialProject

pytestmark = pytest.mark.smoke

TWO_TABLES = """
steps:
  - uses: wait
  - uses: lock
  - uses: sql
    name: one
    with: {statement: "CREATE TABLE one (id int)"}
    check: {table: one}
  - uses: sql
    name: two
    with: {statement: "CREATE TABLE two (id int)"}
    check: {table: two}
"""


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


def test_only_the_missing_step_is_applied(project: TrialProject) -> None:
    project.write(TWO_TABLES)
    project.apply()
    project.rows("DROP TABLE two")
    assert [step.name for step in project.apply().applied] == ["two"]


def test_nothing_to_do_takes_no_lock_and_writes_nothing(project: TrialProject) -> None:
    project.write(TWO_TABLES)
    project.apply()
    before = project.rows("SELECT pg_current_snapshot()::text, (SELECT count(*) FROM bootstrapper.runs)")
    project.events.clear()
    project.apply()
    assert not [event for event in project.events if isinstance(event, ScopeEntered)]
    after = project.rows("SELECT pg_current_snapshot()::text, (SELECT count(*) FROM bootstrapper.runs)")
    assert before == after  # not one transaction number was used


def test_the_ledger_tells_the_run_and_its_steps(project: TrialProject) -> None:
    project.write(TWO_TABLES)
    outcome = project.apply()
    runs = project.rows("SELECT run_id, command, outcome, error FROM bootstrapper.runs")
    assert runs == [(outcome.run_id, "apply", "done", None)]
    steps = project.rows("SELECT step, kind, changes FROM bootstrapper.steps ORDER BY id")
    assert steps == [("one", "result", {"run": 1}), ("two", "result", {"run": 1})]
    assert project.rows("SELECT run_id FROM bootstrapper.lock") == [(None,)]


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


def test_a_step_that_does_not_bring_about_its_check_is_rolled_back(project: TrialProject) -> None:
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


def test_a_check_about_what_does_not_exist_yet_defers_the_step(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: sql
    name: create
    with: {statement: "CREATE TABLE settings (name text)"}
    check: {table: settings}
  - uses: sql
    name: fill
    with: {statement: "INSERT INTO settings VALUES ('x')"}
    check: {sql: "SELECT count(*) > 0 FROM settings"}
""")
    fill = project.plan().steps[-1]
    assert fill.state is State.DEFERRED
    assert fill.deferred[0].may == frozenset({Action.RUN})
    assert fill.deferred[0].at_most == 1
    assert [step.name for step in project.apply().applied] == ["create", "fill"]
    assert project.apply().applied == ()


def test_a_when_that_says_no_skips_the_step(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: sql
    with: {statement: "CREATE TABLE one ()"}
    when: {table: other}
    check: {table: one}
""")
    step = project.plan().steps[-1]
    assert step.state is State.SKIPPED
    assert project.apply().applied == ()


def test_a_when_without_an_answer_at_the_steps_turn_is_an_error(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: sql
    with: {statement: "CREATE TABLE one ()"}
    when: {sql: "SELECT wanted FROM nowhere"}
    check: {table: one}
""")
    assert project.plan().steps[-1].state is State.DEFERRED
    with pytest.raises(UndecidedError, match='relation "nowhere" does not exist'):
        project.apply()
    assert not project.has("one")


def test_when_may_ask_whether_a_later_step_is_pending(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: sql
    name: before
    with: {statement: "CREATE TABLE IF NOT EXISTS before ()"}
    when: {pending: [main]}
    check: never
  - uses: sql
    name: main
    with: {statement: "CREATE TABLE main ()"}
    check: {table: main}
""")
    assert [step.name for step in project.apply().applied] == ["before", "main"]
    assert project.apply().applied == ()


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


def test_a_check_with_a_mistake_in_its_sql_is_an_error_with_its_place(project: TrialProject) -> None:
    file = project.write("""
steps:
  - uses: lock
  - uses: sql
    with: {statement: "CREATE TABLE one ()"}
    check: {sql: "SELEC 1"}
""")
    with pytest.raises(CheckFailedError, match="syntax error") as caught:
        project.plan()
    assert caught.value.source is not None
    assert caught.value.source.file.endswith(file.name)
    assert caught.value.source.line == 10


def test_the_bad_probe_of_one_step_does_not_spoil_the_answers_of_others(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: sql
    name: unknown
    with: {statement: "CREATE TABLE absent (n int); INSERT INTO absent VALUES (1)"}
    check: {sql: "SELECT count(*) = 1 FROM absent"}
  - uses: sql
    name: known
    with: {statement: "SELECT 1"}
    check: {sql: "SELECT true"}
""")
    checks = {step.name: step.check for step in project.plan().steps}
    assert [checks[name] and checks[name].verdict for name in ("unknown", "known")] == [Verdict.UNKNOWN, Verdict.YES]


def test_force_asks_no_check_beforehand(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: sql
    with: {statement: "CREATE TABLE IF NOT EXISTS one ()"}
    check: {table: one}
""")
    project.apply()
    assert project.apply().applied == ()
    assert len(project.apply(force=True).applied) == 1


def test_step_and_skip_choose_steps_and_keep_what_is_around_them(project: TrialProject) -> None:
    project.write(TWO_TABLES)
    assert [step.name for step in project.plan(steps=("two",)).steps] == ["wait", "lock", "two"]
    assert [step.name for step in project.plan(skip=("two",)).steps] == ["wait", "lock", "one"]


def test_a_step_name_that_is_not_in_the_file_is_refused_with_a_suggestion(project: TrialProject) -> None:
    project.write(TWO_TABLES)
    with pytest.raises(UsageError, match="no step 'tow'") as caught:
        project.plan(steps=("tow",))
    assert caught.value.hint == "Did you mean 'two'?"


PROBLEMS = """
steps:
  - uses: wait
    with: {timeot: 5s}
  - uses: sql
    name: early
    with: {statement: "SELECT 1"}
    check: never
  - uses: lock
    with: {timeout: soon}
  - uses: sqll
  - uses: sql
    name: unchecked
    with: {statement: "SELECT 1"}
  - uses: sql
    name: circle
    with: {statement: "SELECT 1"}
    when: {pending: [circle]}
    check: {tabel: x}
  - uses: sql
    name: wrong
    with: {statement: "SELECT 1"}
    when: {pending: [nobody]}
    check: {environment: [development]}
fixtures:
  orphans: {key: [id], rows: [{id: 1}]}
"""


def test_all_problems_of_a_file_are_reported_together_with_their_places(project: TrialProject) -> None:
    project.write(PROBLEMS)
    with pytest.raises(InvalidFileError) as caught:
        project.plan()
    found = {(problem.source.line, problem.message) for problem in caught.value.problems if problem.source is not None}
    lines = sorted(line for line, _ in found)
    assert lines == [8, 9, 14, 15, 16, 19, 23, 27, 28, 30], sorted(found)


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

class Note(Step):
    uses = "note"
    class With(StepModel):
        text: str
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


def test_a_plugins_step_may_use_sqlalchemy_inside_the_fenced_transaction(project: TrialProject) -> None:
    project.write(LOCAL_STEP, "plugins/note.py")
    project.write(NOTE)
    project.variables["NOTE_TEXT"] = "hello"
    assert [change.target for change in project.plan().steps[-1].changes] == ["note hello"]
    project.apply()
    assert project.rows("SELECT body FROM note") == [("hello",)]
    assert project.apply().applied == ()


def test_a_failing_plugin_leaves_nothing_although_it_committed(project: TrialProject) -> None:
    project.write(
        LOCAL_STEP.replace('{"body": self.options.text})', '{"body": self.options.text}); 1 / 0'), "plugins/note.py"
    )
    project.write(NOTE)
    project.variables["NOTE_TEXT"] = "hello"
    with pytest.raises(ZeroDivisionError):
        project.apply()
    assert not project.has("note")


def test_a_step_that_never_rests_and_has_nothing_to_do_is_done(project: TrialProject) -> None:
    project.write(LOCAL_STEP, "plugins/note.py")
    project.write(NOTE + "    check: never\n")
    project.variables["NOTE_TEXT"] = "hello"
    project.apply()
    assert project.plan().steps[-1].state is State.DONE


def test_a_probe_that_fails_is_no_noise_in_the_log(project: TrialProject, caplog: pytest.LogCaptureFixture) -> None:
    checks = ["{sql: SELECT true FROM absent}", "{sql: SELECT true}", "{rows: {table: absent, at_least: 1}}"]
    steps = [
        f"  - {{uses: sql, name: s{number}, with: {{statement: SELECT 1}}, check: {check}}}\n"
        for number, check in enumerate(checks)
    ]
    project.write("steps:\n  - uses: lock\n" + "".join(steps))
    verdicts = [step.check and step.check.verdict for step in project.plan().steps[1:]]
    assert verdicts == [Verdict.UNKNOWN, Verdict.YES, Verdict.UNKNOWN]
    assert caplog.records == []


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
