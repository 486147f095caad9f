"""What an application asks for when it starts."""

from __future__ import annotations

import pytest

import bootstrapper
from bootstrapper.errors import AheadError, UnreachableError
from tests.migrations.projects import create_table, write_env, write_revision
from tests.projects import TrialProject

FILE = """
version: 1
name: books
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: migrations%s}
  - uses: seed
    when: {table: books}
fixtures:
  books:
    key: [id]
    rows: [{id: 1}]
"""


@pytest.fixture
def variables(project: TrialProject) -> dict[str, str]:
    write(project)
    return {"DATABASE_URL": project.database, "BOOTSTRAPPER_FILE": str(project.folder / "bootstrap.yaml")}


def write(project: TrialProject, more: str = "") -> None:
    project.write(FILE % more)
    write_env(project.folder)
    write_revision(project.folder, "first", upgrade=create_table("books"))


def leave_behind(project: TrialProject) -> None:
    """Makes the files those of an older release: without the revision that the database is at."""
    (project.folder / "migrations/versions/first_.py").unlink()
    write_revision(project.folder, "other")


def test_a_database_is_initialized_once(variables: dict[str, str], project: TrialProject) -> None:
    assert not bootstrapper.is_database_initialized(variables=variables)
    assert bootstrapper.needs_migration(variables=variables)
    outcome = bootstrapper.initialize_database(variables=variables)
    assert [step.name for step in outcome.applied] == ["migrate", "seed"]
    assert bootstrapper.is_database_initialized(variables=variables)
    assert not bootstrapper.needs_migration(variables=variables)
    assert bootstrapper.initialize_database(variables=variables).applied == ()


def test_a_pending_seed_does_not_count_as_a_migration(variables: dict[str, str], project: TrialProject) -> None:
    bootstrapper.initialize_database(variables=variables)
    project.rows("DELETE FROM books")
    assert not bootstrapper.needs_migration(variables=variables)
    assert not bootstrapper.is_database_initialized(variables=variables)


def test_only_the_rows_are_written(variables: dict[str, str], project: TrialProject) -> None:
    bootstrapper.initialize_database(variables=variables)
    project.rows("DELETE FROM books")
    write_revision(project.folder, "second", "first", upgrade=create_table("more"))
    assert [step.name for step in bootstrapper.seed_database(variables=variables).applied] == ["seed"]
    assert project.rows("SELECT id FROM books") == [(1,)]
    assert not project.has("more")


def test_a_database_ahead_of_the_code_is_as_good_as_initialized(
    variables: dict[str, str], project: TrialProject
) -> None:
    bootstrapper.initialize_database(variables=variables)
    leave_behind(project)
    assert bootstrapper.is_database_initialized(variables=variables)
    assert not bootstrapper.needs_migration(variables=variables)
    assert bootstrapper.initialize_database(variables=variables).ahead
    write(project, ", ahead: refuse")
    leave_behind(project)
    with pytest.raises(AheadError):
        bootstrapper.is_database_initialized(variables=variables)


def test_a_database_that_does_not_answer_is_an_error(variables: dict[str, str]) -> None:
    nowhere = {**variables, "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x"}
    for ask in (bootstrapper.is_database_initialized, bootstrapper.needs_migration, bootstrapper.wait_for_database):
        with pytest.raises(UnreachableError):
            ask(variables=nowhere, timeout=0.5)


def test_the_server_is_waited_for(variables: dict[str, str], project: TrialProject) -> None:
    ready = bootstrapper.wait_for_database(variables=variables)
    assert ready.database.database == project.database.rpartition("/")[2]
