"""Tests of `drift`, which names what was changed in a schema by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psycopg
import pytest

from tests.cli.project import Project
from tests.cli.revisions import BOOTSTRAP, rows, three_revisions
from tests.migrations.projects import write_revision

pytestmark = pytest.mark.long


@pytest.fixture
def project(tmp_path: Path, database: str) -> Project:
    """A project at revision second; third is pending."""
    made = three_revisions(tmp_path, database)
    assert made.run("upgrade", "second", "-e", "here").returncode == 0
    return made


def execute(project: Project, *statements: str) -> None:
    with psycopg.connect(project.url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def lines(project: Project) -> list[str]:
    done = project.run("drift", "-e", "here", COLUMNS="200")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_schema_as_the_revisions_build_it_has_no_drift_whatever_is_pending(project: Project) -> None:
    done = project.run("drift", "--exit-code", "-e", "here")
    assert (done.returncode, done.stdout) == (0, "no drift: the schema is that of revision second\n")


def test_a_column_that_was_added_by_hand_is_named(project: Project) -> None:
    execute(project, "ALTER TABLE a ADD COLUMN by_hand text")
    assert lines(project) == ["+ column public.a.by_hand", "1 difference from revision second: 1 added."]
    assert project.run("drift", "--exit-code", "-e", "here").returncode == 4
    data = json.loads(project.run("drift", "--format", "json", "-e", "here").stdout)
    assert data["differences"] == [{"kind": "added", "name": "column public.a.by_hand", "detail": ""}]
    assert (data["revisions"], data["database"]["database"]) == (["second"], project.url.rpartition("/")[2])


def test_what_was_dropped_changed_and_added_is_told_apart(project: Project) -> None:
    execute(
        project,
        "DROP TABLE b",
        "ALTER TABLE a ALTER id TYPE bigint",
        "CREATE TABLE by_hand (id int PRIMARY KEY)",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA elsewhere CREATE TABLE not_ours (id int)",
    )
    found = lines(project)
    assert found[0] == "- table public.b"
    assert found[1].startswith("~ column public.a.id: expected integer")
    assert set(found[2:4]) == {"+ table public.by_hand", "+ function public.one()"}
    assert found[4:] == ["4 differences from revision second: 2 added, 1 changed, 1 dropped."]


def test_drift_writes_nothing_and_leaves_nothing_behind(project: Project) -> None:
    state = "SELECT (SELECT count(*) FROM bootstrapper.runs), (SELECT count(*) FROM bootstrapper.steps)"
    before = rows(project, state)
    assert project.run("drift", "-e", "here").returncode == 0
    write_revision(project.folder, "broken", "third", upgrade="op.execute('SELECT broken')")
    execute(project, "UPDATE alembic_version SET version_num = 'broken'")
    failed = project.run("drift", "-e", "here")
    assert (failed.returncode, "revision broken" in failed.stderr) == (1, True)
    assert rows(project, state) == before
    assert rows(project, "SELECT datname FROM pg_database WHERE starts_with(datname, 'bootstrapper_scratch_')") == []


def test_a_revision_that_fails_in_the_scratch_database_is_not_said_to_have_changed_the_database(
    project: Project,
) -> None:
    write_revision(project.folder, "other", "third", upgrade="op.execute('INSERT INTO by_hand VALUES (1)')")
    execute(project, "CREATE TABLE by_hand (id int)", "UPDATE alembic_version SET version_num = 'other'")
    failed = project.run("drift", "-e", "here")
    assert failed.returncode == 1
    assert 'revision other: relation "by_hand" does not exist' in failed.stderr
    where = project.url.rpartition("@")[2]
    assert f"hint: Make the revisions run in an empty database: it failed in a scratch database, not in {where}." in (
        failed.stderr
    )
    assert "rolled back" not in failed.stderr


def test_revisions_that_create_their_extension_or_schema_are_built_again(project: Project) -> None:
    write_revision(project.folder, "schema", "third", upgrade="op.execute('CREATE SCHEMA own CREATE TABLE t (id int)')")
    assert project.run("upgrade", "-e", "here").returncode == 0
    execute(project, "ALTER TABLE own.t ADD COLUMN by_hand text")
    assert lines(project)[0] == "+ column own.t.by_hand"


def test_a_database_without_a_revision_or_with_an_unknown_one_is_refused(project: Project) -> None:
    execute(project, "UPDATE alembic_version SET version_num = 'strange'")
    assert project.run("drift", "-e", "here").returncode == 10
    execute(project, "DELETE FROM alembic_version")
    refused = project.run("drift", "-e", "here")
    assert (refused.returncode, "is at no revision" in refused.stderr) == (9, True)
    project.write("version: 1\ndatabase: {url: '${DATABASE_URL}'}\nsteps: [{uses: lock}]\n")
    assert project.run("drift").returncode == 2


def test_a_role_that_may_not_create_databases_is_told_so(project: Project) -> None:
    role = f"drifter_{os.getpid()}"
    execute(project, f"CREATE ROLE {role} LOGIN PASSWORD 'p'", f"GRANT SELECT ON alembic_version TO {role}")
    try:
        scheme, _, rest = project.url.partition("://")
        other = Project(project.folder, f"{scheme}://{role}:p@{rest.partition('@')[2]}")
        refused = other.run("drift", "-e", "here")
        assert (refused.returncode, "CREATEDB" in refused.stderr) == (1, True)
    finally:
        execute(project, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_protected_environment_is_compared_as_any_other(project: Project) -> None:
    assert "  live: {protected: true}" in BOOTSTRAP
    assert project.run("drift", "-e", "live").stdout.startswith("no drift")


def test_revisions_whose_hazards_were_allowed_are_built_without_asking_again(project: Project) -> None:
    project.write(BOOTSTRAP.replace("script_location: migrations", "script_location: migrations, target: heads"))
    write_revision(project.folder, "a_filling", "third", upgrade="op.execute('INSERT INTO a VALUES (1)')")
    write_revision(project.folder, "b_emptying", "third", upgrade="op.execute('DROP TABLE IF EXISTS a')")
    assert project.run("upgrade", "a_filling", "-e", "live").returncode == 0
    assert project.run("upgrade", "heads", "-e", "live").returncode == 9
    assert project.run("upgrade", "heads", "--allow", "drop-table", "-e", "live").returncode == 0
    done = project.run("drift", "-e", "live")
    assert done.stdout == "no drift: the schema is that of revision a_filling and b_emptying\n", done.stderr
