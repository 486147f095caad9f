"""Starts of a new release that declares some things as an earlier one did, and of services that share a database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import bootstrapper
from bootstrapper.api import run
from bootstrapper.events import Event, ScopeEntered
from tests.engine.releases import (
    STEPS,
    USERS,
    Releases,
    folders,
    leaves_alone,
    migrate_and_seed,
    seed,
)
from tests.projects import TrialProject

PLANS = "SELECT name, price FROM plans ORDER BY name"
NOTE = "  - {name: note, uses: sql, with: {statement: CREATE TABLE %s ()}, check: {table: %s}}\n"


@pytest.fixture
def releases(tmp_path: Path, database: str) -> Releases:
    made = folders(tmp_path, database)
    made("tables").rows("CREATE TABLE plans (name text PRIMARY KEY, price int)")
    return made


def with_plan(project: TrialProject, price: int, steps: str = "", **roles: str) -> TrialProject:
    """Declares users, and one plan with its price."""
    seed(project, steps=steps, **roles)
    text = (project.folder / "bootstrap.yaml").read_text()
    project.write(f"{text}  plans: {{key: [name], mode: update, rows: [{{name: basic, price: {price}}}]}}\n")
    return project


def test_a_release_that_restores_a_fixture_and_brings_another_is_the_newest(releases: Releases) -> None:
    seed(releases("first"), ada="user").apply(startup=True)
    second = seed(releases("second"), ada="admin")
    second.apply(startup=True)
    third = with_plan(releases("third"), 5, ada="user")
    assert not third.apply(startup=True).ahead
    assert third.rows(USERS) == [("ada", "user")]
    assert third.rows(PLANS) == [("basic", 5)]
    assert leaves_alone(second)


def test_a_release_that_restores_a_fixture_and_changes_another_is_the_newest(releases: Releases) -> None:
    first = with_plan(releases("first"), 5, ada="user")
    first.apply(startup=True)
    second = with_plan(releases("second"), 5, ada="admin")
    second.apply(startup=True)
    third = with_plan(releases("third"), 6, ada="user")
    assert not third.apply(startup=True).ahead
    assert (third.rows(USERS), third.rows(PLANS)) == ([("ada", "user")], [("basic", 6)])
    assert leaves_alone(first)
    assert leaves_alone(second)


def test_a_release_that_restores_a_fixture_and_brings_a_step_is_the_newest(releases: Releases) -> None:
    seed(releases("first"), ada="user").apply(startup=True)
    seed(releases("second"), ada="admin").apply(startup=True)
    third = seed(releases("third"), steps=NOTE % ("note", "note"), ada="user")
    assert [step.name for step in third.apply(startup=True).applied] == ["seed", "note"]


def test_a_release_is_not_new_for_what_is_there_already(releases: Releases) -> None:
    seed(releases("first"), ada="user").apply(startup=True)
    seed(releases("second"), ada="admin").apply(startup=True)
    third = with_plan(releases("third"), 5, ada="user")
    third.rows("INSERT INTO plans VALUES ('basic', 5)")
    assert leaves_alone(third)


def test_a_new_release_whose_first_start_was_cut_off_under_the_lock_is_new_still(releases: Releases) -> None:
    seed(releases("first"), ada="user").apply(startup=True)
    seed(releases("second"), ada="admin").apply(startup=True)
    third = with_plan(releases("third"), 5, ada="user")
    with pytest.raises(KeyboardInterrupt):
        run.apply(replace(third.request(startup=True), emit=_interrupt))
    assert len(third.rows("SELECT 1 FROM bootstrapper.runs")) == 3
    assert not third.apply(startup=True).ahead
    assert third.rows(PLANS) == [("basic", 5)]


def _interrupt(event: Event) -> None:
    if isinstance(event, ScopeEntered):
        raise KeyboardInterrupt


def test_seeding_alone_knows_a_new_release_by_its_pending_revision(releases: Releases) -> None:
    migrate_and_seed(releases("first"), "a", ada="user").apply(startup=True)
    migrate_and_seed(releases("second"), "a", ada="admin").apply(startup=True)
    third = migrate_and_seed(releases("third"), "a", "b", ada="user")
    outcome = bootstrapper.seed_database(third.folder / "bootstrap.yaml", variables={"DATABASE_URL": third.database})
    assert [step.name for step in outcome.applied] == ["seed"]
    assert third.rows(USERS) == [("ada", "user")]


def test_what_a_start_leaves_alone_counts_as_initialized(releases: Releases) -> None:
    old, new = releases("old"), releases("new")
    migrate_and_seed(old, "a", "b", ada="user").apply(startup=True)
    migrate_and_seed(new, "a", "b", ada="admin").apply(startup=True)
    file, variables = old.folder / "bootstrap.yaml", {"DATABASE_URL": old.database}
    assert bootstrapper.is_database_initialized(file, variables=variables)
    old.rows("UPDATE alembic_version SET version_num = 'a'; DROP TABLE b")
    assert bootstrapper.initialize_database(file, variables=variables).ahead
    assert bootstrapper.is_database_initialized(file, variables=variables)
    assert not bootstrapper.needs_migration(file, variables=variables)
    newest, variables = new.folder / "bootstrap.yaml", {"DATABASE_URL": new.database}
    assert not bootstrapper.is_database_initialized(newest, variables=variables)
    assert bootstrapper.needs_migration(newest, variables=variables)


def service(parent: Path, name: str, database: str, text: str) -> TrialProject:
    """A project without a name, in a folder that is called as those of all services."""
    folder = parent / name / "app"
    folder.mkdir(parents=True)
    project = TrialProject(folder, database)
    project.write("version: 1\ndatabase: {url: '${DATABASE_URL}'}\n" + text)
    return project


def declared(**rows: str) -> str:
    lines = [f"  {table}: {{key: [name], mode: update, rows: [{row}]}}\n" for table, row in rows.items()]
    return STEPS + "  - uses: seed\nfixtures:\n" + "".join(lines)


def test_services_in_folders_of_the_same_name_are_told_apart_by_their_fixtures(
    releases: Releases, tmp_path: Path, database: str
) -> None:
    seed(releases("table"), ada="user")
    first = service(tmp_path, "first", database, declared(users="{name: ada, role: user}"))
    second = service(tmp_path, "second", database, declared(plans="{name: basic, price: 5}"))
    for project in (first, second):
        project.apply(startup=True)
    first.rows("UPDATE users SET role = 'drifted'")
    assert not first.apply(startup=True).ahead
    assert first.rows(USERS) == [("ada", "user")]
    newer = service(tmp_path, "newer", database, declared(users="{name: ada, role: admin}"))
    newer.apply(startup=True)
    assert leaves_alone(first)
    second.rows("DELETE FROM plans")
    assert not second.apply(startup=True).ahead
    assert second.rows(PLANS) == [("basic", 5)]


def test_a_file_without_fixtures_is_told_apart_by_its_steps(tmp_path: Path, database: str) -> None:
    write_text = STEPS + NOTE
    first = service(tmp_path, "first", database, write_text % ("one", "one"))
    second = service(tmp_path, "second", database, (write_text % ("two", "two")).replace("name: note", "name: other"))
    for project in (first, second):
        project.apply(startup=True)
    first.rows("DROP TABLE one")
    assert [step.name for step in first.apply(startup=True).applied] == ["note"]
    service(tmp_path, "newer", database, write_text % ("three", "three")).apply(startup=True)
    first.rows("DROP TABLE one")
    assert first.apply(startup=True).ahead
    assert not first.has("one")
