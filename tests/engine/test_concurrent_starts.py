"""Runs that start while another one migrates: what it locks or is about to change is decided under the lock."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from bootstrapper.api import inspection, locking, run
from bootstrapper.cli import health_text
from bootstrapper.cli.lock import _text as lock_text
from bootstrapper.errors import BlockedError, ExitCode, HazardError, LockTimeoutError
from bootstrapper.events import Event, LockAwaited, StepStarted
from bootstrapper.postgres.connection import session
from tests.projects import TrialProject
from tests.waiting import at_most, eventually

LIVE = {"environment": "live"}
FILE = """
environments: {live: {protected: true}}
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: migrations}
"""
ENV = """
from alembic import context
from sqlalchemy import create_engine
if context.is_offline_mode():
    context.configure(dialect_name="postgresql")
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""
REVISION = """
revision, down_revision = {id!r}, {parent!r}
from alembic import op
def upgrade():
    op.execute({sql!r})
    op.execute("SET LOCAL lock_timeout = 0")
    op.execute("SELECT pg_advisory_xact_lock(4711)")  # which the test holds
"""

WAITS = """
SELECT 1 FROM pg_locks JOIN pg_database AS d ON d.oid = database AND datname = current_database()
WHERE locktype = 'advisory' AND NOT granted
"""


@pytest.fixture
def orders(project: TrialProject) -> TrialProject:
    """A protected environment with rows, and a revision that locks their table for as long as the test wants."""
    project.write(FILE)
    project.write(ENV, "migrations/env.py")
    revision(project, "first", None, "CREATE TABLE orders (id bigint)")
    project.apply(**LIVE)
    project.rows("INSERT INTO orders SELECT generate_series(1, 100)")
    revision(project, "second", "first", "ALTER TABLE orders ADD COLUMN note text")
    return project


def revision(project: TrialProject, name: str, parent: str | None, sql: str) -> None:
    text = REVISION.format(id=name, parent=parent, sql=sql)
    project.write(text, f"migrations/versions/{name}.py")


@contextmanager
def migrating(project: TrialProject, **options: object) -> Iterator[Callable[[], None]]:
    """Another run is in the middle of the revision; the function lets it finish."""
    begun, errors = threading.Event(), list[BaseException]()

    def emit(event: Event) -> None:
        if isinstance(event, StepStarted):
            begun.set()

    def work() -> None:
        try:
            run.apply(replace(project.request(**LIVE, **options), emit=emit))
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    with psycopg.connect(project.database, autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(4711)")
        holder = threading.Thread(target=work)
        holder.start()
        while not begun.wait(0.02):
            assert holder.is_alive(), errors
        while not gate.execute(WAITS).fetchone():
            assert holder.is_alive(), errors
        try:
            yield lambda: gate.execute("SELECT pg_advisory_unlock(4711)") and None
        finally:
            gate.execute("SELECT pg_advisory_unlock_all()")
            holder.join(at_most(30))
    assert not errors


def apply_meanwhile(project: TrialProject, let_finish: Callable[[], None], **options: object) -> str:
    """Applies, lets the other run finish once this one waits for its lock, and returns what it waited for."""
    waited = []

    def emit(event: Event) -> None:
        if isinstance(event, LockAwaited):
            waited.append(event.holder)
            let_finish()

    run.apply(replace(project.request(**LIVE, **options), emit=emit))
    return waited[0]


def test_a_run_that_starts_while_another_one_has_locked_the_table_waits_for_it(orders: TrialProject) -> None:
    with migrating(orders) as let_finish:
        assert "held by run" in apply_meanwhile(orders, let_finish)
    assert orders.rows("SELECT count(*), count(DISTINCT run_id) FROM bootstrapper.runs") == [(2, 2)]


def test_the_timeout_of_the_lock_holds_while_the_other_run_has_locked_the_table(orders: TrialProject) -> None:
    other = TrialProject(shutil.copytree(orders.folder, orders.folder.with_name("other")), orders.database)
    other.write(FILE.replace("- uses: lock", "- {uses: lock, with: {timeout: 1s}}"))
    with migrating(orders), pytest.raises(LockTimeoutError):
        other.apply(**LIVE, timeout_seconds=at_most(15))


def test_a_run_that_migrates_has_three_connections_all_with_its_name(orders: TrialProject) -> None:
    query = (
        "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND application_name <> ''"
    )
    with migrating(orders):
        assert eventually(lambda: len(orders.rows(query)) == 3), orders.rows(query)
        [(run_id,)] = orders.rows("SELECT run_id FROM bootstrapper.lock")
        assert set(orders.rows(query)) == {(f"bootstrapper/trial/{run_id}",)}


def test_a_follower_that_cannot_look_names_the_session_in_the_way(project: TrialProject) -> None:
    project.write("steps: [{uses: lock}, {uses: seed}]\nfixtures: {users: {key: [name], rows: [{name: ada}]}}\n")
    project.rows("CREATE TABLE users (name text PRIMARY KEY)")
    project.apply()
    with psycopg.connect(project.database) as other:
        other.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(BlockedError) as caught:
            run.follow(project.request(timeout_seconds=at_most(4)))
        pid = other.info.backend_pid
    assert [blocker.pid for blocker in caught.value.blockers] == [pid]


def test_a_long_revision_of_another_role_is_shown_as_running_not_as_lost(
    orders: TrialProject, role: Callable[..., None]
) -> None:
    owner = TrialProject(orders.folder, orders.database)
    role("GRANT USAGE ON SCHEMA bootstrapper TO {role}", "GRANT SELECT ON ALL TABLES IN SCHEMA bootstrapper TO {role}")
    with migrating(owner):
        seen = locking.lock_state(orders.request(**LIVE))
        health = inspection.status(orders.request(**LIVE), health=True).health
    assert seen is not None
    assert health is not None
    assert (seen.connection, seen.in_transaction) == ("unknown", True)
    shown = lock_text(seen)
    assert "connection  unknown (needs pg_read_all_stats)" in shown
    assert "a transaction of the run is open, and no other run takes over before it ends" in shown
    assert "takes over when" not in shown
    told = list(health_text.lines(health, ()))
    assert "long transactions: none that this role can see" in told
    assert any("waits for process" in line for line in told)  # locks are shown to every role


def test_a_refusal_of_what_another_run_is_allowed_to_do_waits_for_that_run(orders: TrialProject) -> None:
    revision(orders, "second", "first", "ALTER TABLE orders DROP COLUMN id")
    with migrating(orders, allow=("drop-column",)) as let_finish:
        apply_meanwhile(orders, let_finish)


def test_hazards_that_could_not_be_told_before_the_lock_are_refused_under_it(orders: TrialProject) -> None:
    newer = TrialProject(shutil.copytree(orders.folder, orders.folder.with_name("newer")), orders.database)
    revision(newer, "third", "second", "ALTER TABLE orders DROP COLUMN note")
    with migrating(orders) as let_finish, pytest.raises(HazardError) as caught:
        apply_meanwhile(newer, let_finish)
    assert caught.value.hazards == ("drop-column",)
    assert orders.rows("SELECT version_num FROM alembic_version") == [("second",)]


def test_a_table_that_a_foreign_session_keeps_locked_is_not_a_hazard_but_retryable(
    orders: TrialProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LOOK_LOCK_SECONDS", 3.0)
    with psycopg.connect(orders.database, application_name="reports") as other:
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        pid = other.info.backend_pid
        planned = orders.plan(**LIVE)
        with pytest.raises(BlockedError) as caught:
            orders.apply(**LIVE)
    [finding] = planned.steps[-1].findings
    assert finding.message.startswith(f"locked by process {pid} of role postgres (reports")
    assert finding.message.endswith("locks and sizes could not be checked")
    assert not planned.steps[-1].hazards
    assert (caught.value.exit_code, caught.value.retryable) == (ExitCode.LOCKED, True)
    assert [blocker.pid for blocker in caught.value.blockers] == [pid]
