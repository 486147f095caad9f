"""Locks that other sessions hold on tables: whom a run waits for is told while it waits, and in its error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from bootstrapper.api import run
from bootstrapper.cli import error_output
from bootstrapper.engine import turn
from bootstrapper.errors import BlockedError, ExitCode, MigrationError
from bootstrapper.events import StepBlocked
from bootstrapper.fixtures.pull.pulling import Wanted
from bootstrapper.masking import Masker
from bootstrapper.plans import State
from bootstrapper.postgres.connection import session
from bootstrapper.postgres.lock import transactions
from tests.peers import eventually
from tests.projects import TrialProject
from tests.waiting import at_most

pytestmark = pytest.mark.long

SEED = """
steps:
  - uses: lock
  - uses: seed
fixtures:
  users:
    key: [name]
    rows: [{name: ada}]
"""
ONE_STATEMENT = """
steps:
  - uses: lock
  - uses: sql
    with: {statement: "ALTER TABLE users ADD COLUMN age int"}
    check: {sql: "SELECT count(*) = 1 FROM information_schema.columns WHERE column_name = 'age'"}
"""
REVISION = """
revision, down_revision = "one", "zero"
from alembic import op
def upgrade(): op.execute("ALTER TABLE users ADD COLUMN age int")
def downgrade(): pass
"""
ENV = """
from alembic import context
from sqlalchemy import create_engine
with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


@pytest.fixture
def users(project: TrialProject) -> TrialProject:
    project.rows("CREATE TABLE users (name text PRIMARY KEY)")
    return project


@contextmanager
def held(project: TrialProject, mode: str = "ACCESS EXCLUSIVE") -> Iterator[int]:
    """Another session has the table; gives its backend."""
    with psycopg.connect(project.database, application_name="reports") as other:
        other.execute(sql.SQL("LOCK TABLE users IN {} MODE").format(sql.SQL(mode)))
        yield other.info.backend_pid


def blocked(project: TrialProject) -> list[StepBlocked]:
    return [event for event in project.events if isinstance(event, StepBlocked)]


def in_background(work: Callable[[], object]) -> Callable[[], BaseException | None]:
    """Starts work; the function it gives waits for its end, and gives its error."""
    found: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> BaseException | None:
        thread.join(60)
        assert not thread.is_alive()
        return found[0] if found else None

    return wait


def test_a_look_says_for_whom_it_waits_and_goes_on_when_that_one_is_done(users: TrialProject) -> None:
    users.write(SEED)
    with held(users) as pid:
        wait = in_background(users.plan)
        assert eventually(lambda: bool(blocked(users)))
    assert wait() is None
    [event] = blocked(users)
    assert (event.step, event.pid, event.role, event.application) == ("seed", pid, "postgres", "reports")
    assert event.statement == "LOCK TABLE users IN ACCESS EXCLUSIVE MODE"
    assert f"process {pid} of role postgres (reports, host 127.0.0.1), in a transaction since 2" in event.blocker


def test_a_secret_is_hidden_where_only_its_beginning_would_be_shown_of_a_statement(users: TrialProject) -> None:
    users.variables["API_TOKEN"] = "s3cret" * 40
    users.write(
        SEED.replace("fixtures:", "  - {uses: command, with: {run: [echo, '${API_TOKEN}']}, check: never}\nfixtures:")
    )
    with psycopg.connect(users.database) as other:
        other.execute(f"LOCK TABLE users IN ACCESS EXCLUSIVE MODE -- {users.variables['API_TOKEN']}".encode())
        wait = in_background(users.plan)
        assert eventually(lambda: bool(blocked(users)))
    assert wait() is None
    [event] = blocked(users)
    assert event.statement == "LOCK TABLE users IN ACCESS EXCLUSIVE MODE -- ***"


def test_a_look_that_waited_too_long_is_retryable_and_names_the_session_in_the_way(
    users: TrialProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LOOK_LOCK_SECONDS", 4.0)
    users.write(SEED)
    with held(users) as pid, pytest.raises(BlockedError) as caught:
        users.plan()
    error = caught.value
    assert (error.exit_code, error.retryable, error.step) == (ExitCode.LOCKED, True, "seed")
    assert error.details[0].startswith(f"blocked by process {pid} of role postgres")
    assert error.hint == f"Run again once process {pid} has ended its transaction."
    facts = error_output.facts(error, Masker())
    assert (facts["sqlstate"], facts["exit_code"], facts["retryable"]) == ("55P03", 7, True)
    [told] = facts["blockers"]  # type: ignore[misc]
    assert (told["pid"], told["application"]) == (pid, "reports")  # type: ignore[index, call-overload]


def test_a_look_does_not_outlast_the_time_of_the_run_behind_a_lock(users: TrialProject) -> None:
    users.write(SEED)
    with held(users) as pid, pytest.raises(BlockedError) as caught:
        users.plan(timeout_seconds=at_most(4))
    assert [blocker.pid for blocker in caught.value.blockers] == [pid]


def test_a_pull_says_for_whom_it_waits_and_names_the_session_in_the_way(
    users: TrialProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LOOK_LOCK_SECONDS", 4.0)
    users.write(SEED)
    with held(users) as pid, pytest.raises(BlockedError) as caught:
        run.pull(users.request(), Wanted(tables=("users",)))
    assert [blocker.pid for blocker in caught.value.blockers] == [pid]
    assert [(event.step, event.pid) for event in blocked(users)] == [("pull", pid)]


def test_status_tells_of_what_is_not_locked(users: TrialProject) -> None:
    users.write(SEED + "  towns: {key: [name], rows: [{name: here}]}\n")
    users.rows("CREATE TABLE towns (name text PRIMARY KEY)")
    with held(users) as pid:
        status = users.status()
    assert status.plan.steps[-1].state is State.UNKNOWN
    [error] = status.errors
    assert isinstance(error, BlockedError)
    assert [blocker.pid for blocker in error.blockers] == [pid]


def test_a_step_that_never_gets_its_lock_names_the_session_in_the_way(
    users: TrialProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "FENCE_LOCK_TIMEOUT", "3s")
    monkeypatch.setattr(turn, "_RETRY_PAUSES", (0.1,))
    users.write(ONE_STATEMENT)
    with held(users, "ACCESS SHARE") as pid, pytest.raises(BlockedError) as caught:
        users.apply()
    assert [blocker.pid for blocker in caught.value.blockers] == [pid]
    assert blocked(users)[0].pid == pid
    assert users.rows("SELECT outcome FROM bootstrapper.runs") == [("failed",)]
    with psycopg.connect(users.database) as connection:
        [(noted,)] = connection.execute("SELECT error FROM bootstrapper.runs").fetchall()
    assert f"blocked by process {pid}" in noted


def test_a_revision_that_never_gets_its_lock_names_the_session_in_the_way(users: TrialProject) -> None:
    users.write("steps: [{uses: lock}, {uses: migrate, with: {script_location: migrations, ddl_retries: 1}}]")
    users.write(ENV, "migrations/env.py")
    users.write(REVISION, "migrations/versions/one.py")
    users.rows("CREATE TABLE alembic_version AS SELECT 'zero' AS version_num")
    users.write(REVISION.replace('"one", "zero"', '"zero", None'), "migrations/versions/zero.py")
    with held(users, "ACCESS SHARE") as pid, pytest.raises(BlockedError) as caught:
        users.apply()
    error = caught.value
    assert (error.exit_code, error.sqlstate) == (ExitCode.LOCKED, "55P03")
    assert [blocker.pid for blocker in error.blockers] == [pid]
    assert isinstance(error.cause, MigrationError)
    assert error.hint == "Revision one was rolled back; the database is at zero as before. Apply again."
    assert blocked(users)[0].pid == pid


def test_every_session_of_a_run_has_its_id_in_its_name(project: TrialProject) -> None:
    name = "current_setting('application_name')"
    project.write(
        f"""
steps:
  - uses: lock
  - uses: migrate
    with: {{script_location: migrations}}
  - uses: sql
    with: {{statement: "INSERT INTO names SELECT 'sql', {name}", transaction: false}}
    check: {{rows: {{table: names, where: "place = 'sql'", at_least: 1}}}}
  - uses: command
    with: {{run: [sh, -c, 'echo "$PGAPPNAME" > name']}}
    check: never
"""
    )
    project.write(ENV, "migrations/env.py")
    project.write(
        REVISION.replace('"zero"', "None").replace(
            'op.execute("ALTER TABLE users ADD COLUMN age int")',
            f"""
    op.execute("CREATE TABLE names AS SELECT 'revision' AS place, {name} AS name")
    with op.get_context().autocommit_block():
        op.execute("INSERT INTO names SELECT 'autocommit', {name}")
""",
        ),
        "migrations/versions/one.py",
    )
    name = f"bootstrapper/trial/{project.apply().run_id}"
    assert project.rows("SELECT * FROM names ORDER BY place") == [
        ("autocommit", name),
        ("revision", name),
        ("sql", name),
    ]
    assert (project.folder / "name").read_text() == f"{name}\n"
