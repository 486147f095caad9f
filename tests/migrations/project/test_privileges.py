"""A role that may not create tables in the schema of the revisions is refused before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from bootstrapper.postgres.connection.target import Target
from tests.cli.project import Project
from tests.migrations.projects import create_table, write_env, write_revision

MIGRATES = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
%s  - uses: migrate
    with: {script_location: migrations%s}
"""
GRANTS = """\
  - uses: sql
    with: {statement: "SELECT helpers.allow()"}
    check: {sql: "SELECT has_schema_privilege('app_of_test', 'public', 'CREATE')"}
"""
ALLOWS = """
CREATE SCHEMA helpers;
GRANT USAGE ON SCHEMA helpers TO app_of_test;
CREATE FUNCTION helpers.allow() RETURNS void LANGUAGE sql SECURITY DEFINER
AS 'GRANT CREATE ON SCHEMA public TO app_of_test';
"""


@pytest.fixture
def project(tmp_path: Path, database: str) -> Iterator[Project]:
    """Run as a role that may create schemas in the database, and nothing in public; it has no table to begin with."""
    name = Target.from_url(database).dbname or ""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.execute("CREATE ROLE app_of_test LOGIN PASSWORD 'app'")
        connection.execute("CREATE ROLE owner_of_test")
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO app_of_test").format(sql.Identifier(name)))
        write_env(tmp_path)
        write_revision(tmp_path, "first", upgrade=create_table("a"))
        url = Target.from_url(database).replacing(user="app_of_test", password="app").url()
        made = Project(tmp_path, url)
        made.write(MIGRATES % ("", ""))
        try:
            yield made
        finally:
            connection.execute("REASSIGN OWNED BY app_of_test, owner_of_test TO CURRENT_USER")
            connection.execute("DROP OWNED BY app_of_test, owner_of_test")
            connection.execute("DROP ROLE app_of_test, owner_of_test")


def execute(database: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_missing_privilege_is_refused_with_the_grant(project: Project, database: str, command: str) -> None:
    refused = project.run(command)
    assert refused.returncode == 6
    assert "role 'app_of_test' may not create tables in schema 'public'" in refused.stderr
    assert 'GRANT CREATE ON SCHEMA "public" TO "app_of_test";' in refused.stderr
    assert execute(database, "SELECT to_regnamespace('bootstrapper')") == [(None,)]
    execute(database, 'GRANT CREATE ON SCHEMA "public" TO "app_of_test"')
    assert project.run("apply").returncode == 0


def test_a_follower_without_the_privilege_waits_for_a_run_that_has_it(project: Project) -> None:
    waited = project.run("apply", "--follow", "--timeout", "1s")
    assert (waited.returncode, "waiting: for other runs to apply migrate" in waited.stderr) == (4, True)


def test_the_privilege_is_required_in_the_schema_of_the_version_table(project: Project, database: str) -> None:
    execute(database, "CREATE SCHEMA versions AUTHORIZATION app_of_test")
    project.write(MIGRATES % ("", ", version_table_schema: versions"))
    write_revision(project.folder, "first", upgrade=create_table("versions.a"))
    applied = project.run("apply")
    assert applied.returncode == 0, applied.stderr


def test_a_role_that_env_py_may_set_is_not_refused(project: Project, database: str) -> None:
    execute(database, "ALTER ROLE app_of_test NOINHERIT; GRANT CREATE ON SCHEMA public TO owner_of_test")
    execute(database, "GRANT owner_of_test TO app_of_test")
    assert execute(database, "SELECT has_schema_privilege('app_of_test', 'public', 'CREATE')") == [(False,)]
    planned = project.run("plan")
    assert planned.returncode == 0, planned.stderr


def test_an_earlier_step_may_grant_it_and_the_plan_reports_that_it_is_missing(project: Project, database: str) -> None:
    execute(database, ALLOWS)
    project.write(MIGRATES % (GRANTS, ""))
    planned = project.run("plan")
    assert planned.returncode == 0, planned.stderr
    assert "! schema public: role 'app_of_test' may not create tables in it" in planned.stdout
    assert 'GRANT CREATE ON SCHEMA "public" TO "app_of_test"' in planned.stdout
    applied = project.run("apply")
    assert applied.returncode == 0, applied.stderr
    assert "schema public" not in project.run("plan").stdout


def test_a_privilege_that_no_earlier_step_grants_is_refused_in_the_turn_of_the_step(
    project: Project, database: str
) -> None:
    execute(database, ALLOWS.replace("GRANT CREATE ON", "GRANT USAGE ON"))
    project.write(MIGRATES % (GRANTS.replace("'public', 'CREATE'", "'public', 'USAGE'"), ""))
    execute(database, "REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    refused = project.run("apply")
    assert refused.returncode == 6
    assert 'GRANT CREATE ON SCHEMA "public" TO "app_of_test";' in refused.stderr


def test_a_revision_without_the_privilege_fails_with_the_grant_as_a_hint(project: Project, database: str) -> None:
    execute(database, "GRANT CREATE ON SCHEMA public TO app_of_test")
    assert project.run("apply").returncode == 0
    execute(database, "REVOKE CREATE ON SCHEMA public FROM app_of_test")
    write_revision(project.folder, "second", "first", upgrade=create_table("b"))
    failed = project.run("apply")
    assert failed.returncode == 1
    assert "permission denied for schema public" in failed.stderr
    assert 'GRANT CREATE ON SCHEMA "public" TO "app_of_test";' in failed.stderr
