"""What each step would do: answers, contradictions, and what is deferred."""

from __future__ import annotations

import pytest

from bootstrapper.errors import (
    NotConvergedError,
    StepFailedError,
    UndecidedError,
)
from bootstrapper.plans import Action, State
from tests.engine.notes import NOTE, note
from tests.projects import TrialProject


def test_a_step_that_asks_about_a_contradiction_does_not_go_round_in_circles(project: TrialProject) -> None:
    note(project, changes="return []")
    project.write(
        "plugins: [./plugins]\nsteps:\n  - uses: lock\n  - uses: sql\n    name: before\n"
        '    with: {statement: "SELECT 1"}\n    when: {pending: [note]}\n    check: never\n'
        "  - uses: note\n    check: {table: absent}\n"
    )
    with pytest.raises(NotConvergedError, match="'note'"):
        project.plan()


def test_a_contradiction_at_the_steps_turn_is_an_error_before_anything_is_applied(project: TrialProject) -> None:
    note(project, changes="return []", apply="raise AssertionError('was applied')")
    project.write(
        "plugins: [./plugins]\nsteps:\n  - uses: lock\n  - uses: sql\n    name: before\n"
        '    with: {statement: "SELECT 1"}\n    check: never\n'
        "  - uses: note\n    check: {table: absent}\n"
    )
    assert project.plan().steps[-1].state is State.DEFERRED
    with pytest.raises(NotConvergedError):
        project.apply()


def test_a_when_without_an_answer_does_not_matter_where_nothing_is_to_do(project: TrialProject) -> None:
    note(project, changes="return []")
    project.write(NOTE + '    when: {sql: "SELECT wanted FROM nowhere"}\n')
    assert project.plan().pending == ()
    project.write(
        NOTE + '    when: {sql: "SELECT wanted FROM nowhere"}\n'
        '  - uses: sql\n    with: {statement: "CREATE TABLE one ()"}\n    check: {table: one}\n'
    )
    assert [step.name for step in project.apply().applied] == ["sql"]


def test_a_deferred_step_is_bounded_by_nothing_where_nothing_is_known(project: TrialProject) -> None:
    note(project, changes="return []")
    project.write(NOTE + '    check: {sql: "SELECT done FROM nowhere"}\n')
    assert [item.at_most for item in project.plan().steps[-1].deferred] == [None]


def test_a_step_whose_look_the_server_refuses_is_a_failed_step_and_not_a_bug(project: TrialProject) -> None:
    note(project, changes="context.connection.execute('SELECT * FROM nowhere')")
    with pytest.raises(StepFailedError, match="step 'note': relation \"nowhere\" does not exist") as caught:
        project.plan()
    assert caught.value.sqlstate == "42P01"


def test_what_sqlalchemy_wraps_is_a_failed_step_and_shows_no_parameters(project: TrialProject) -> None:
    note(
        project,
        apply="from sqlalchemy import text\n"
        "        context.sqlalchemy().execute(text('SELECT :x / 0, :y'), {'x': 1, 'y': 'hidden'})",
    )
    with pytest.raises(StepFailedError, match="division by zero") as caught:
        project.apply()
    assert "hidden" not in str(caught.value)
    assert project.rows("SELECT error FROM bootstrapper.runs") == [(str(caught.value),)]


@pytest.mark.smoke
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


@pytest.mark.smoke
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


@pytest.mark.smoke
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


@pytest.mark.smoke
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


@pytest.mark.smoke
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
