"""Questions that fail, and those that are not needed."""

from __future__ import annotations

import pytest

from bootstrapper.errors import (
    BootstrapperError,
    CheckFailedError,
    UnreachableError,
)
from bootstrapper.plans import State, Verdict
from tests.engine.notes import ONE_TABLE, plugin
from tests.projects import TrialProject


def test_a_question_that_is_not_needed_may_be_wrong(project: TrialProject) -> None:
    project.write(ONE_TABLE + '    when: {all: [{table: absent}, {sql: "SELECT 1/0 = 1"}]}\n')
    assert project.plan().steps[-1].state is State.SKIPPED


def test_a_check_of_its_own_means_that_misses_a_table_has_no_answer(project: TrialProject) -> None:
    plugin(
        project,
        """
class Own(Check[str]):
    key = "own"
    def ask(self, context):
        context.connection.execute(self.argument)
        return Answer.yes()

@hookimpl
def bootstrapper_checks():
    return [Own]
""",
    )
    steps = "plugins: [./plugins]\n" + ONE_TABLE.replace(
        "check: {table: one}", "check: {any: [{own: 'X'}, {table: one}]}"
    )
    project.write(steps.replace("'X'", "TABLE nowhere"))
    assert project.plan().steps[-1].check is not None
    assert project.plan().steps[-1].state is State.DEFERRED
    assert len(project.apply().applied) == 1
    project.write(steps.replace("'X'", "SELECT 1/0"))
    with pytest.raises(BootstrapperError, match="check own cannot be evaluated: division by zero"):
        project.plan()


def test_a_probe_that_ends_the_connection_is_an_unreachable_database(project: TrialProject) -> None:
    project.write(ONE_TABLE.replace("{table: one}", '{sql: "SELECT pg_terminate_backend(pg_backend_pid())"}'))
    with pytest.raises(UnreachableError):
        project.plan()


@pytest.mark.smoke
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


@pytest.mark.smoke
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


@pytest.mark.smoke
def test_a_failing_probe_writes_nothing_to_the_log(project: TrialProject, caplog: pytest.LogCaptureFixture) -> None:
    checks = ["{sql: SELECT true FROM absent}", "{sql: SELECT true}", "{rows: {table: absent, at_least: 1}}"]
    steps = [
        f"  - {{uses: sql, name: s{number}, with: {{statement: SELECT 1}}, check: {check}}}\n"
        for number, check in enumerate(checks)
    ]
    project.write("steps:\n  - uses: lock\n" + "".join(steps))
    verdicts = [step.check and step.check.verdict for step in project.plan().steps[1:]]
    assert verdicts == [Verdict.UNKNOWN, Verdict.YES, Verdict.UNKNOWN]
    assert caplog.records == []
