"""Tests of `ledger: {keep_for: TIME}`: what is removed, what stays, and whether the chain still holds."""

from __future__ import annotations

import pytest

from bootstrapper.errors import InvalidFileError
from bootstrapper.events import Warned
from tests.postgres.ledger.test_chain import AGAIN, faults, verdict
from tests.projects import TrialProject

KEEPING = "ledger: {keep_for: 90d}\n" + AGAIN
ONCE = AGAIN.replace("check: never", "check: {once: first}")
AGE = "UPDATE bootstrapper.runs SET started_at = started_at - interval '91 days'"


@pytest.fixture
def aged(project: TrialProject) -> TrialProject:
    """Five runs with a row each, 91 days old."""
    project.write(AGAIN)
    for _ in range(5):
        project.apply()
    project.rows(AGE)
    project.write(KEEPING)
    return project


def serials(project: TrialProject) -> list[int]:
    return [serial for (serial,) in project.rows("SELECT serial FROM bootstrapper.runs ORDER BY serial")]


def test_old_runs_are_removed_and_the_first_and_last_of_each_declaration_stay(aged: TrialProject) -> None:
    aged.apply()
    assert serials(aged) == [1, 6]
    assert aged.rows("SELECT step, uses, changes ->> 'delete' FROM bootstrapper.steps ORDER BY id") == [
        ("again", "sql", None),
        ("again", "sql", None),
        ("ledger", "retention", "4"),
    ]
    assert faults(aged) == {}


def test_the_chain_holds_through_many_removals_and_keeps_only_the_gaps_that_there_are(aged: TrialProject) -> None:
    aged.apply()
    for _ in range(3):
        aged.apply()
    aged.rows(AGE)
    for _ in range(2):
        aged.apply()
    assert serials(aged) == [1, 10, 11]
    assert (verdict(aged).rows, faults(aged)) == (4, {})
    gaps = aged.rows(
        "SELECT count(*) FROM bootstrapper.meta, json_object_keys(value::json) WHERE key = 'removed_steps'"
    )
    assert gaps == [(1,)]


def test_runs_that_are_not_old_enough_stay(aged: TrialProject) -> None:
    aged.rows("UPDATE bootstrapper.runs SET started_at = started_at + interval '2 days'")
    aged.apply()
    assert serials(aged) == [1, 2, 3, 4, 5, 6]
    assert verdict(aged).rows == 6


def test_without_a_time_nothing_is_removed(aged: TrialProject) -> None:
    aged.write(AGAIN)
    aged.apply()
    assert len(serials(aged)) == 6


def test_what_is_done_once_is_not_done_again_after_a_removal(aged: TrialProject) -> None:
    aged.write("ledger: {keep_for: 90d}\n" + ONCE)
    aged.apply()
    for step in ("other", "third", "other"):
        aged.write(KEEPING.replace("again", step))
        aged.rows(AGE)
        aged.apply()
    aged.write("ledger: {keep_for: 90d}\n" + ONCE)
    assert aged.apply().applied == ()


def test_rows_of_a_fixture_are_told_from_manual_changes_after_a_removal(project: TrialProject) -> None:
    project.rows("CREATE TABLE notes (id int PRIMARY KEY, body text)")
    seed = "  - uses: seed\nfixtures: {notes: {key: [id], mode: update, on_conflict: fail, rows: [{id: 1, body: a}]}}\n"
    project.write(KEEPING + seed)
    for _ in range(3):
        project.apply()
        project.rows(AGE)
    project.apply()
    assert serials(project) == [1, 4]
    project.write(KEEPING + seed.replace("body: a", "body: b"))
    assert [step.name for step in project.apply().applied] == ["again", "seed"]


@pytest.mark.parametrize(
    ("damage", "row"),
    [
        ("UPDATE bootstrapper.steps SET step = 'x' WHERE id = 1", 1),
        ("DELETE FROM bootstrapper.steps WHERE id = 1", 6),
        ("DELETE FROM bootstrapper.steps WHERE id = 6", 7),
        ("DELETE FROM bootstrapper.meta WHERE key = 'removed_steps'", 6),
        ("UPDATE bootstrapper.meta SET value = '{}' WHERE key = 'removed_steps'", 6),
        ("UPDATE bootstrapper.meta SET value = replace(value, ':', ' :') WHERE key = 'removed_steps'", 7),
    ],
)
def test_damage_is_found_after_a_removal(aged: TrialProject, damage: str, row: int) -> None:
    aged.apply()
    aged.rows(damage)
    assert row in faults(aged)


def test_a_row_that_was_removed_by_hand_before_is_still_missing(aged: TrialProject) -> None:
    aged.rows("DELETE FROM bootstrapper.steps WHERE id = 3")
    aged.apply()
    assert faults(aged).keys() == {6}


def test_a_run_that_may_not_remove_runs_warns_and_is_done(aged: TrialProject) -> None:
    aged.rows("CREATE TABLE notes (run_id uuid REFERENCES bootstrapper.runs)")
    aged.rows("INSERT INTO notes SELECT run_id FROM bootstrapper.runs WHERE serial = 3")
    assert len(aged.apply().applied) == 1
    (warning,) = [event for event in aged.events if isinstance(event, Warned)]
    assert warning.message.startswith("could not remove old runs from the ledger: ")
    assert (len(serials(aged)), faults(aged)) == (6, {})


def test_a_time_that_is_not_one_is_refused(project: TrialProject) -> None:
    for wrong in ("90", "0s", "-1d"):
        project.write(KEEPING.replace("90d", wrong))
        with pytest.raises(InvalidFileError, match="keep_for"):
            project.plan()
