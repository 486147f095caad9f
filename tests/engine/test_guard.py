"""Starts of an application whose release is older than the one that changed the database last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bootstrapper.api import run
from bootstrapper.errors import AheadError, FixtureError
from bootstrapper.events import Event, ScopeEntered
from tests.engine.releases import RUNS, Releases, finished, folders, warnings
from tests.migrations.projects import create_table, write_env, write_revision
from tests.projects import TrialProject

HEAD = "steps:\n  - uses: lock\n"
MIGRATE = "  - uses: migrate\n    with: {script_location: migrations%s}\n"


@pytest.fixture
def releases(tmp_path: Path, database: str) -> Releases:
    return folders(tmp_path, database)


def write(project: TrialProject, *revisions: str, more: str = "", ahead: str = "") -> None:
    project.write(HEAD + MIGRATE % ahead + more)
    write_env(project.folder)
    for down, name in zip((None, *revisions), revisions, strict=False):
        write_revision(project.folder, name, down, upgrade=create_table(name))


def test_a_start_goes_on_with_a_database_that_is_ahead_and_writes_nothing(
    releases: Releases,
) -> None:
    old, new = releases("old"), releases("new")
    pending = "  - {name: late, uses: sql, with: {statement: CREATE TABLE late ()}, check: {table: late}}\n"
    write(old, "a", more=pending)
    write(new, "a", "b")
    new.apply()
    before = new.rows(RUNS)
    outcome = old.apply(startup=True)
    assert (outcome.ahead, outcome.applied, outcome.run_id) == (True, (), None)
    (told,) = warnings(old)
    assert "is at revision b" in told
    assert told.endswith("; continuing, nothing is written")
    assert finished(old) == "unchanged"
    assert not old.has("late")
    assert new.rows(RUNS) == before


def test_an_explicit_apply_refuses_a_database_that_is_ahead(releases: Releases) -> None:
    old, new = releases("old"), releases("new")
    write(old, "a")
    write(new, "a", "b")
    new.apply(startup=True)
    with pytest.raises(AheadError):
        old.apply()
    assert finished(old) == "failed"


def test_a_start_of_the_strict_refuses_a_database_that_is_ahead(releases: Releases) -> None:
    old, new = releases("old"), releases("new")
    write(old, "a", ahead=", ahead: refuse")
    write(new, "a", "b")
    new.apply()
    with pytest.raises(AheadError):
        old.apply(startup=True)


def test_a_start_does_what_there_is_to_do_and_a_second_one_finds_nothing(
    releases: Releases,
) -> None:
    project = releases("only")
    write(project, "a")
    first, second = project.apply(startup=True), project.apply(startup=True)
    assert [step.name for step in first.applied] == ["migrate"]
    assert (first.ahead, second.ahead, second.applied) == (False, False, ())
    assert warnings(project) == []


def test_a_database_that_is_ahead_explains_a_step_that_cannot_be_looked_at(
    releases: Releases,
) -> None:
    old, new = releases("old"), releases("new")
    seed = "  - uses: seed\n" + MIGRATE % "" + "fixtures: {a: {key: [id], rows: [{id: 1}]}}\n"
    for release in (old, new):
        write_env(release.folder)
        write_revision(release.folder, "a", upgrade=create_table("a"))
    new.write(HEAD + MIGRATE % "")
    write_revision(new.folder, "b", "a", upgrade='op.execute("ALTER TABLE a RENAME id TO number")')
    old.write(HEAD + seed)
    new.apply()
    with pytest.raises(FixtureError):
        old.apply()
    assert old.apply(startup=True).ahead


def test_a_start_that_finds_a_newer_release_only_under_the_lock_leaves_no_trace(
    releases: Releases,
) -> None:
    old, new = releases("old"), releases("new")
    write(old, "a")
    write(new, "a", "b")

    def overtake(event: Event) -> None:
        old.events.append(event)
        if isinstance(event, ScopeEntered):  # the lock keeps out runs, but not the test
            new.rows("CREATE TABLE a (); CREATE TABLE alembic_version (version_num text)")
            new.rows("INSERT INTO alembic_version VALUES ('b')")

    outcome = run.apply(replace(old.request(startup=True), emit=overtake))
    assert (outcome.ahead, outcome.applied, outcome.run_id) == (True, (), None)
    assert old.rows(RUNS) == []
    assert finished(old) == "unchanged"


def test_a_start_leaves_a_ledger_of_a_newer_program_alone(releases: Releases) -> None:
    project = releases("only")
    write(project, "a")
    project.apply()
    project.rows("UPDATE bootstrapper.meta SET value = '1000' WHERE key = 'ledger_version'")
    write(project, "a", "b")
    with pytest.raises(AheadError):
        project.apply()
    before = project.rows(RUNS)
    assert project.apply(startup=True).ahead
    assert any("the ledger has version 1000" in text for text in warnings(project))
    assert project.rows(RUNS) == before
