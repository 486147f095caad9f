"""revision: yes, no, and whose history is meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from bootstrapper.builtin.checks.revision import RevisionCheck
from bootstrapper.builtin.steps.migrate import Migrate
from bootstrapper.engine.probes import ask_probes, with_probes
from bootstrapper.errors import InvalidFileError
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plans import Answer, Verdict
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.step import Unit
from tests.migrations.contexts import make_project
from tests.migrations.projects import write_env, write_revision


@pytest.fixture
def project(tmp_path: Path, database: str) -> Project:
    write_env(tmp_path)
    write_revision(tmp_path, "first")
    write_revision(tmp_path, "second", "first")
    made = make_project(tmp_path, database)
    return replace(made, steps={"migrate": migrate("migrate")})


def migrate(name: str, **options: object) -> Migrate:
    return Migrate(name, MigrationSettings.model_validate({"script_location": "migrations", **options}))


def ask(project: Project, target: str = "head", step: str = "migrate") -> Answer:
    check = RevisionCheck(target, project, step)
    with psycopg.connect(project.target.conninfo(), autocommit=True) as connection:
        connection.execute("BEGIN READ ONLY")
        return ask_probes(connection, with_probes([check]))[id(check)]()


def mark(project: Project, *revisions: str, table: str = "alembic_version") -> None:
    with psycopg.connect(project.target.conninfo()) as connection:
        connection.execute(f"CREATE TABLE {table} (version_num varchar(32))".encode())
        for revision in revisions:
            connection.execute(f"INSERT INTO {table} VALUES (%s)".encode(), (revision,))


def test_no_without_a_version_table(project: Project) -> None:
    assert ask(project) == Answer.no("no version table")


def test_no_with_an_empty_version_table(project: Project) -> None:
    mark(project)
    assert ask(project) == Answer.no("at no revision, 2 pending")


def test_no_below_head(project: Project) -> None:
    mark(project, "first")
    assert ask(project) == Answer.no("at first, 1 pending")


def test_yes_at_head(project: Project) -> None:
    mark(project, "second")
    assert ask(project) == Answer.yes("at second")


def test_yes_for_a_revision_that_the_database_has_been_through(project: Project) -> None:
    mark(project, "second")
    assert ask(project, "first").verdict is Verdict.YES


def test_no_where_the_code_does_not_have_the_databases_revision(project: Project) -> None:
    mark(project, "third")
    assert ask(project) == Answer.no("at third, which the project does not have")


def test_the_step_that_declares_the_check_says_which_version_table(project: Project) -> None:
    mark(project, "second", table="other_version")
    steps: dict[str, Unit] = {"migrate": migrate("migrate"), "other": migrate("other", version_table="other_version")}
    several = replace(project, steps=steps)
    assert ask(several, step="other").is_yes
    assert ask(several, step="migrate").is_no


def test_elsewhere_there_has_to_be_exactly_one_step_that_migrates(project: Project) -> None:
    mark(project, "second")
    assert ask(project, step="seed").is_yes
    several = replace(project, steps={"one": migrate("one"), "two": migrate("two")})
    with pytest.raises(InvalidFileError, match="several steps migrate"):
        ask(several, step="seed")


@pytest.mark.parametrize("is_marked", [False, True])
def test_a_revision_that_no_file_has_is_an_error_of_the_file(project: Project, *, is_marked: bool) -> None:
    """Without a version table too: else the migrations would run unnoticed."""
    if is_marked:
        mark(project, "first")
    with pytest.raises(InvalidFileError) as caught:
        ask(project, "secund")
    (problem,) = caught.value.problems
    assert problem.message == "revision or branch 'secund' does not exist"
    assert problem.hint == "Did you mean 'second'?"
