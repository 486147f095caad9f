"""The plugin of the sample: a role that may read what the application needs, through whole runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import errors, sql

from bootstrapper.api import run
from bootstrapper.plans import State
from bootstrapper.testing import assert_step_contract
from tests.projects import TrialProject
from tests.samples import ROOT
from tests.servers import Server
from tests.waiting import at_most

FILE = """
plugins: [./plugins]
steps:
  - uses: lock
  - uses: sql
    with: {{statement: CREATE TABLE books (id int PRIMARY KEY)}}
    check: {{table: books}}
  - uses: read_only_role
    with: {{name: "{role}", schemas: [public, bootstrapper]}}
"""


@pytest.fixture
def reader(project: TrialProject) -> Iterator[str]:
    """The name of a role that does not exist yet; a quoted one, since names come from the file."""
    name = f"Reader of {project.database.rpartition('/')[2]}"
    shutil.copytree(ROOT / "plugins", project.folder / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    project.write(FILE.format(role=name))
    owner = project.database
    yield name
    with psycopg.connect(owner, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchone():
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def as_reader(project: TrialProject, reader: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(project.database) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(reader)))
        return connection.execute(statement.encode()).fetchall()


def targets(project: TrialProject, reader: str) -> list[str]:
    return [change.target.replace(reader, "R") for change in project.plan().steps[-1].changes]


def test_the_plan_shows_each_privilege_and_what_has_to_exist_first(project: TrialProject, reader: str) -> None:
    step = project.plan().steps[-1]
    assert [item.needs for item in step.deferred if not item.after] == ["schema bootstrapper"]
    assert targets(project, reader) == ["role R", "grant SELECT on later tables of schema public to R"]


def test_the_role_reads_tables_of_today_and_later_ones_and_writes_none(project: TrialProject, reader: str) -> None:
    project.apply()
    project.rows("CREATE TABLE later (id int)")
    assert as_reader(project, reader, "SELECT id FROM books UNION SELECT id FROM later") == []
    with pytest.raises(errors.InsufficientPrivilege):
        as_reader(project, reader, "INSERT INTO books VALUES (1) RETURNING id")
    assert project.apply().applied == ()


def test_what_was_revoked_is_granted_again(project: TrialProject, reader: str) -> None:
    project.apply()
    project.rows(f'REVOKE SELECT ON books FROM "{reader}"; REVOKE USAGE ON SCHEMA public FROM PUBLIC')
    assert targets(project, reader) == ["grant USAGE on schema public to R", "grant SELECT on public.books to R"]
    project.apply()
    assert project.plan().steps[-1].state is State.DONE


def test_it_is_all_that_following_takes(project: TrialProject, reader: str) -> None:
    project.apply()
    login, owner = f"login_{project.database.rpartition('/')[2]}", project.database
    project.rows(f"CREATE ROLE {login} LOGIN PASSWORD 'p' IN ROLE \"{reader}\"")
    try:
        project.database = owner.replace(owner[len("postgresql://") : owner.index("@")], f"{login}:p")
        assert run.follow(project.request(timeout_seconds=at_most(10))).is_reached
    finally:
        project.database = owner
        project.rows(f"DROP ROLE {login}")


def test_it_keeps_the_contract_of_steps(project: TrialProject, reader: str) -> None:
    assert_step_contract(project.request(), "read_only_role")


def test_a_role_that_may_not_create_roles_is_told_so(project: TrialProject, role: Callable[..., None]) -> None:
    role()
    shutil.copytree(ROOT / "plugins", project.folder / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    name = f"missing_{project.database.rpartition('/')[2]}"
    project.write(FILE.format(role=name))
    [deferred] = [item for item in project.plan().steps[-1].deferred if not item.after]
    assert (deferred.needs, "lacks CREATEROLE" in deferred.reason) == (f"role {name}", True)


def test_a_privilege_that_the_role_may_not_grant_is_named_with_its_statement(
    project: TrialProject, reader: str, role: Callable[..., None], server: Server
) -> None:
    owner, name = project.database, project.database.rpartition("/")[2]
    project.rows(f'CREATE ROLE "{reader}"')
    role()
    server.execute(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')
    server.execute(f'GRANT CONNECT ON DATABASE "{name}" TO {project.database.partition("//")[2].partition(":")[0]}')
    deferred = [item for item in project.plan().steps[-1].deferred if item.needs.startswith("CONNECT")]
    assert [item.reason.partition("runs: ")[2] for item in deferred] == [
        f'GRANT CONNECT ON DATABASE "{name}" TO "{reader}"'
    ]
    project.database = owner
