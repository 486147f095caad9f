"""What is wrong with steps, checks and fixtures of a file is found before anything is asked of the database."""

from __future__ import annotations

import pytest

from bootstrapper.errors import (
    InvalidFileError,
)
from tests.engine.notes import ONE_TABLE
from tests.projects import TrialProject


@pytest.mark.parametrize("key", ["when", "check"])
@pytest.mark.parametrize("raw", ["{not: null}", "[null]", "{all: [null]}", "{any: [{table: one}, null]}"])
def test_a_check_left_empty_inside_a_condition_is_a_problem(project: TrialProject, key: str, raw: str) -> None:
    checked = f"    check: never\n    when: {raw}\n" if key == "when" else f"    check: {raw}\n"
    project.write('steps:\n  - uses: lock\n  - uses: sql\n    with: {statement: "SELECT 1"}\n' + checked)
    with pytest.raises(InvalidFileError) as caught:
        project.plan()
    assert [problem.source is not None for problem in caught.value.problems] == [True]


FIXTURES = """
steps:
  - uses: lock
  - uses: seed
fixtures:
  things:
    key: [id]
    when: {when}
    rows: [{{id: 1}}]
"""


def test_a_fixture_whose_when_says_no_is_not_seeded(project: TrialProject) -> None:
    project.rows("CREATE TABLE things (id int PRIMARY KEY)")
    project.write(FIXTURES.format(when="{table: other}"))
    assert project.plan().pending == ()
    assert project.apply().applied == ()
    assert project.rows("SELECT * FROM things") == []


def test_the_when_of_a_fixture_is_not_asked_again_once_its_rows_are_there(project: TrialProject) -> None:
    project.rows("CREATE TABLE things (id int PRIMARY KEY)")
    project.write(FIXTURES.format(when='{sql: "SELECT count(*) = 0 FROM things"}'))
    assert [step.name for step in project.apply().applied] == ["seed"]
    assert project.rows("SELECT * FROM things") == [(1,)]
    assert project.apply().applied == ()


def test_the_when_of_a_fixture_may_ask_what_is_pending_in_this_run(project: TrialProject) -> None:
    project.write(
        FIXTURES.format(when="{pending: [create]}").replace(
            "  - uses: seed",
            "  - uses: seed\n    when: {table: things}\n  - uses: sql\n    name: create\n"
            '    with: {statement: "CREATE TABLE later ()"}\n    check: {table: later}',
        )
    )
    project.rows("CREATE TABLE things (id int PRIMARY KEY)")
    assert [step.name for step in project.apply().applied] == ["seed", "create"]


@pytest.mark.parametrize("when", ["{tabel: x}", "[null]", "{pending: [seed]}"])
def test_the_when_of_a_fixture_is_read_with_the_file(project: TrialProject, when: str) -> None:
    project.write(FIXTURES.format(when=when))
    with pytest.raises(InvalidFileError):
        project.plan()


def test_a_second_lock_is_a_problem_of_the_file(project: TrialProject) -> None:
    project.write(ONE_TABLE + "  - uses: lock\n    name: again\n")
    with pytest.raises(InvalidFileError, match="lock"):
        project.plan()


def test_pending_asks_about_steps_and_not_about_the_lock(project: TrialProject) -> None:
    project.write(ONE_TABLE + "    when: {pending: [lock]}\n")
    with pytest.raises(InvalidFileError, match="lock"):
        project.plan()


def test_a_seed_step_with_a_mistake_does_not_leave_its_fixtures_without_a_step(project: TrialProject) -> None:
    project.write(FIXTURES.format(when="{table: x}").replace("- uses: seed", "- uses: seed\n    with: {fixtuers: []}"))
    with pytest.raises(InvalidFileError) as caught:
        project.plan()
    assert [problem.message for problem in caught.value.problems if "no step seeds" in problem.message] == []


def test_environments_that_are_an_empty_text_are_none(project: TrialProject) -> None:
    project.write("environments: ''\n" + ONE_TABLE)
    assert len(project.plan().pending) == 1


def test_a_variable_that_is_not_text_is_a_problem_with_its_place(project: TrialProject) -> None:
    project.variables["ODD"] = "\udcff"
    project.write(ONE_TABLE + "    when: {sql: \"SELECT '${ODD}' = 'a'\"}\n")
    with pytest.raises(InvalidFileError, match="ODD is not valid UTF-8"):
        project.plan()


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


@pytest.mark.smoke
def test_all_problems_of_a_file_are_reported_together_with_their_places(project: TrialProject) -> None:
    project.write(PROBLEMS)
    with pytest.raises(InvalidFileError) as caught:
        project.plan()
    found = {(problem.source.line, problem.message) for problem in caught.value.problems if problem.source is not None}
    lines = sorted(line for line, _ in found)
    assert lines == [8, 9, 14, 15, 16, 19, 23, 27, 28, 30], sorted(found)
