"""The lock on a real server: who gets it, who is told what, and who is fenced off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
import pytest

from bootstrapper.deadline import Deadline
from bootstrapper.errors import FencedOffError, UnreachableError
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.ledger.chain import record_step
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.run_ids import uuid7
from bootstrapper.postgres.lock.acquire import Holder, RunDetails, try_take
from bootstrapper.postgres.lock.hold import Hold
from tests.waiting import at_most

pytestmark = pytest.mark.smoke

NAMES = LedgerNames()


def details() -> RunDetails:
    return RunDetails(uuid7(), "apply", None, "digest", "0")


@pytest.fixture
def new_session(database: str) -> Iterator[Callable[[], Session]]:
    sessions = []

    def create() -> Session:
        session = Session(Target.from_url(database), application_name="test", deadline=Deadline.after(at_most(20)))
        sessions.append(session)
        return session

    yield create
    for session in sessions:
        session.close()


@contextmanager
def held(session: Session) -> Iterator[Hold]:
    hold = try_take(session, NAMES, details())
    assert isinstance(hold, Hold)
    yield hold
    hold.release()


def test_the_first_to_try_gets_the_lock_and_the_ledger_is_created(new_session: Callable[[], Session]) -> None:
    session = new_session()
    with held(session) as hold:
        assert hold.fence.token == 1
        assert ledger.exists(session.connection, NAMES)


def test_a_second_run_is_told_who_holds_the_lock(new_session: Callable[[], Session]) -> None:
    with held(new_session()) as hold:
        busy = try_take(new_session(), NAMES, details())
        assert isinstance(busy, Holder)
        assert busy.run_id == hold.fence.run_id
        assert str(hold.fence.run_id) in str(busy)


def test_a_session_whose_step_failed_is_ours_again(new_session: Callable[[], Session]) -> None:
    session = new_session()
    with held(session) as hold:
        with pytest.raises(ZeroDivisionError), hold.lent_outside():
            hold.connection.execute("SET search_path = public; SET DateStyle = 'German'; BEGIN; CREATE TEMP TABLE t ()")
            raise ZeroDivisionError
        shown = "SELECT current_setting('search_path'), current_setting('DateStyle'), to_regclass('pg_temp.t')"
        assert hold.connection.execute(shown).fetchone() == ("pg_catalog, pg_temp", "ISO, MDY", None)


def test_a_released_lock_is_free_at_once_and_its_token_rises(new_session: Callable[[], Session]) -> None:
    with held(new_session()):
        pass
    with held(new_session()) as hold:
        assert hold.fence.token == 2


def test_a_holder_that_died_frees_the_lock_at_once(new_session: Callable[[], Session]) -> None:
    dying = new_session()
    assert isinstance(try_take(dying, NAMES, details()), Hold)
    dying.close()
    with held(new_session()) as hold:
        assert hold.fence.token == 2


def test_a_holder_whose_lease_lives_keeps_the_lock_after_its_death(new_session: Callable[[], Session]) -> None:
    dying = new_session()
    hold = try_take(dying, NAMES, details())
    assert isinstance(hold, Hold)
    with pytest.raises(UnreachableError), hold.beating("migrate"):
        dying.close()
        busy = try_take(new_session(), NAMES, details())
    assert isinstance(busy, Holder)
    assert busy.step == "migrate"


def test_a_transaction_is_fenced_off_once_another_run_has_the_lock(
    new_session: Callable[[], Session], database: str
) -> None:
    with held(new_session()) as hold:
        with psycopg.connect(database, autocommit=True) as other:
            other.execute("UPDATE bootstrapper.lock SET token = token + 1, run_id = gen_random_uuid()")
        with pytest.raises(FencedOffError), hold.transaction() as connection:
            connection.execute("CREATE TABLE public.never_there ()")
        with psycopg.connect(database) as other:
            assert other.execute("SELECT to_regclass('public.never_there')").fetchone() == (None,)


def test_a_transaction_needs_the_advisory_lock_on_its_own_backend(new_session: Callable[[], Session]) -> None:
    session = new_session()
    with held(session) as hold:
        session.connection.execute("SELECT pg_advisory_unlock_all()")
        with pytest.raises(FencedOffError), hold.transaction():
            pass


def test_a_failed_transaction_leaves_nothing(new_session: Callable[[], Session]) -> None:
    session = new_session()
    with held(session) as hold:
        with pytest.raises(ZeroDivisionError), hold.transaction() as connection:
            connection.execute("CREATE TABLE public.half_done ()")
            raise ZeroDivisionError
        assert session.connection.execute("SELECT to_regclass('public.half_done')").fetchone() == (None,)


def test_every_run_that_took_the_lock_stands_in_the_ledger(new_session: Callable[[], Session]) -> None:
    session = new_session()
    with held(session) as hold:
        run = ledger.last_run(session.connection, NAMES)
        assert run is not None
        assert (run.run_id, run.command, run.outcome) == (hold.fence.run_id, "apply", None)


def test_steps_are_chained_by_hash(new_session: Callable[[], Session]) -> None:
    session = new_session()
    with held(session) as hold:
        for step in ("one", "two"):
            with hold.transaction() as connection:
                record_step(
                    connection, NAMES, run_id=hold.fence.run_id, step=step, uses="sql", kind="result", changes=()
                )
        rows = session.connection.execute("SELECT previous, hash FROM bootstrapper.steps ORDER BY id").fetchall()
    assert rows[0][0] is None
    assert rows[1][0] == rows[0][1]


def test_a_ledger_in_a_foreign_schema_has_prefixed_tables(new_session: Callable[[], Session]) -> None:
    session = new_session()
    names = LedgerNames("public")
    hold = try_take(session, names, details())
    assert isinstance(hold, Hold)
    hold.release()
    assert session.connection.execute("SELECT to_regclass('public.bootstrapper_runs')").fetchone() != (None,)


def test_run_ids_sort_by_the_time_they_were_made() -> None:
    ids = [uuid7() for _ in range(3)]
    assert all(isinstance(run_id, UUID) and run_id.version == 7 for run_id in ids)
    assert [run_id.int >> 80 for run_id in ids] == sorted(run_id.int >> 80 for run_id in ids)


def test_a_connection_lost_before_the_first_try_is_retryable(new_session: Callable[[], Session], database: str) -> None:
    session = new_session()
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (session.connection.info.backend_pid,))
    with pytest.raises(UnreachableError, match="connection lost while acquiring the lock"):
        try_take(session, NAMES, details())
