"""What goes wrong around the lock and its connection."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from os import dup, getpid

import psycopg
import pytest

from bootstrapper.deadline import Deadline
from bootstrapper.errors import FencedOffError, StepFailedError, UnreachableError
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.run_ids import uuid7
from bootstrapper.postgres.lock.acquire import Holder, RunDetails, try_take
from bootstrapper.postgres.lock.heartbeat import Heartbeat
from bootstrapper.postgres.lock.hold import Hold
from tests.servers import Server
from tests.waiting import at_most, eventually

NAMES = LedgerNames()


@pytest.fixture
def session(database: str) -> Iterator[Session]:
    session = Session(Target.from_url(database), application_name="test", deadline=Deadline.after(at_most(20)))
    yield session
    session.close()


def take(session: Session) -> Hold:
    taken = try_take(session, NAMES, RunDetails(uuid7(), "apply", None, "digest", "0"))
    assert isinstance(taken, Hold)
    return taken


def take_as_pooled(session: Session) -> Hold:
    """As behind a pooler, where the lease is all there is."""
    session._server = replace(session.server, pooled=True)
    return take(session)


def cut(session: Session) -> None:
    with socket.socket(fileno=dup(session.connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def lease(database: str) -> float:
    with psycopg.connect(database) as other:
        row = other.execute("SELECT extract(epoch FROM expires_at - clock_timestamp())::float8 FROM bootstrapper.lock")
        found = row.fetchone()
    assert found is not None
    return float(found[0])


def compute(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


def test_what_was_left_open_on_the_connection_is_not_committed_by_the_next_transaction(session: Session) -> None:
    hold = take(session)
    session.connection.execute("BEGIN")
    session.connection.execute("CREATE TABLE public.left_open ()")
    with hold.transaction() as connection:
        connection.execute("CREATE TABLE public.meant ()")
    row = session.connection.execute(
        "SELECT to_regclass('public.left_open'), to_regclass('public.meant')::text"
    ).fetchone()
    assert row == (None, "public.meant")


def test_a_transaction_inside_a_transaction_is_refused_and_nothing_is_written(session: Session) -> None:
    hold = take(session)
    with pytest.raises(RuntimeError, match="open already"), hold.transaction() as connection:
        connection.execute("CREATE TABLE public.outer_one ()")
        with hold.transaction():
            pass
    with hold.transaction() as connection:
        assert connection.execute("SELECT to_regclass('public.outer_one')").fetchone() == (None,)


def test_a_transaction_that_was_aborted_unseen_fails(session: Session) -> None:
    hold = take(session)
    with pytest.raises(StepFailedError, match="aborted"), hold.transaction() as connection:
        connection.execute("CREATE TABLE public.half ()")
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0")


def test_an_error_inside_a_transaction_is_not_hidden_by_a_connection_that_died(session: Session) -> None:
    hold = take(session)
    with pytest.raises(ZeroDivisionError), hold.transaction():
        cut(session)
        raise ZeroDivisionError
    assert not session.is_open


def test_an_error_inside_a_look_is_not_hidden_by_a_connection_that_died(session: Session) -> None:
    with pytest.raises(ZeroDivisionError), session.read_only():
        cut(session)
        raise ZeroDivisionError


def test_a_look_does_not_reconnect_outside_its_transaction(session: Session) -> None:
    with pytest.raises(UnreachableError), session.read_only() as connection:
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        session.connection.execute("CREATE TABLE public.written_by_a_look ()")
    assert session.connection.execute("SELECT to_regclass('public.written_by_a_look')").fetchone() == (None,)


def test_the_connection_of_a_hold_is_the_one_that_has_the_lock(session: Session) -> None:
    hold = take(session)
    assert hold.connection is session.connection
    session.close()
    with pytest.raises(UnreachableError):
        _ = hold.connection


def test_a_callback_registered_after_the_loss_is_called_at_once(session: Session) -> None:
    hold = take(session)
    beating = hold.beating("migrate")
    beating.__enter__()
    session.close()
    assert eventually(lambda: hold.is_lost)
    told: list[bool] = []
    hold.on_loss(lambda: told.append(True))
    assert told
    with pytest.raises(UnreachableError):
        beating.__exit__(None, None, None)


def test_behind_a_pooler_every_transaction_renews_the_lease(session: Session, database: str) -> None:
    hold = take_as_pooled(session)
    session.connection.execute("UPDATE bootstrapper.lock SET expires_at = clock_timestamp()")
    with hold.transaction():
        pass
    assert lease(database) > 10


def test_behind_a_pooler_slow_preparations_keep_the_lease(
    session: Session, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrapper.postgres.lock.heartbeat.BEAT_SECONDS", 0.05)
    hold = take_as_pooled(session)
    with hold.lasting("seed"):
        with psycopg.connect(database, autocommit=True) as other:
            other.execute("UPDATE bootstrapper.lock SET expires_at = clock_timestamp()")
        assert eventually(lambda: lease(database) > 10)
    hold.release()


def test_a_direct_hold_has_no_lease_that_could_outlive_it(session: Session, database: str) -> None:
    hold = take(session)
    with hold.lasting("seed"), psycopg.connect(database) as other:
        assert other.execute("SELECT expires_at FROM bootstrapper.lock").fetchone() == (None,)


def test_a_worker_of_another_role_is_seen_to_be_at_work(session: Session, database: str, server: Server) -> None:
    hold = take(session)
    hold.release()
    role = f"taker_{getpid()}"
    server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    try:
        with psycopg.connect(database, autocommit=True) as worker:
            worker.execute(f"GRANT USAGE ON SCHEMA bootstrapper TO {role}".encode())
            worker.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA bootstrapper TO {role}".encode())
            worker.execute(
                "UPDATE bootstrapper.lock SET run_id = gen_random_uuid(), worker_backend_pid = pg_backend_pid(),"
                " worker_backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())"
            )
            url = f"postgresql://{role}:p@127.0.0.1:{server.port}/{database.rpartition('/')[2]}"
            taker = Session(Target.from_url(url), application_name="test", deadline=Deadline.after(at_most(20)))
            assert isinstance(try_take(taker, NAMES, RunDetails(uuid7(), "apply", None, "digest", "0")), Holder)
            taker.close()
            worker.execute(f"DROP OWNED BY {role}".encode())
    finally:
        server.execute(f"DROP ROLE {role}")


def test_a_statement_in_the_way_counts_as_a_holder(session: Session, database: str) -> None:
    take(session).release()
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE bootstrapper.lock IN ACCESS EXCLUSIVE MODE")
        session.connection.execute("SET lock_timeout = '50ms'")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bootstrapper.postgres.lock.acquire.FENCE_LOCK_TIMEOUT", "50ms")
            assert isinstance(try_take(session, NAMES, RunDetails(uuid7(), "apply", None, "digest", "0")), Holder)


def test_a_heartbeat_that_cannot_beat_is_a_loss(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrapper.postgres.lock.heartbeat.BEAT_SECONDS", 0.05)
    hold = take(session)
    told: list[bool] = []
    heartbeat = Heartbeat(session.connection, NAMES, hold.fence.run_id, hold.fence.token)
    heartbeat.on_loss(lambda: told.append(True))
    with heartbeat.beating():
        session.connection.execute("DROP TABLE bootstrapper.lock")
        assert eventually(lambda: heartbeat.is_lost and bool(told))


def test_behind_a_pooler_no_run_takes_the_lock_during_a_look_that_outlasts_the_lease(
    session: Session, database: str
) -> None:
    hold = take_as_pooled(session)
    other = Session(Target.from_url(database), application_name="other", deadline=Deadline.after(20))
    for is_pooled in (True, False):
        other._server = replace(other.server, pooled=is_pooled)
        with hold.read_only() as connection:
            with psycopg.connect(database, autocommit=True) as clock:
                clock.execute("UPDATE bootstrapper.lock SET expires_at = clock_timestamp()")
            assert isinstance(try_take(other, NAMES, RunDetails(uuid7(), "apply", None, "digest", "0")), Holder)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                connection.execute("CREATE TABLE public.written_by_a_look ()")
            connection.execute("ROLLBACK")
        assert lease(database) > 10, "the lease is renewed as the look ends"
    other.close()
    with hold.transaction():
        pass


def test_behind_a_pooler_a_transaction_that_outlasts_the_lease_renews_it_at_its_end(
    session: Session, database: str
) -> None:
    hold = take_as_pooled(session)
    with hold.transaction() as connection:
        connection.execute("UPDATE bootstrapper.lock SET expires_at = clock_timestamp()")
    assert lease(database) > 10


def test_a_look_of_a_run_that_lost_the_lock_is_fenced_off(session: Session, database: str) -> None:
    hold = take_as_pooled(session)
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("UPDATE bootstrapper.lock SET token = token + 1")
    with pytest.raises(FencedOffError), hold.read_only():
        pass


def test_a_look_that_computes_for_longer_than_a_lease_is_not_ended_by_the_server(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrapper.postgres.lock.pooled_look.LEASE_SECONDS", 0.4)
    monkeypatch.setattr("bootstrapper.postgres.lock.heartbeat.BEAT_SECONDS", 0.05)
    hold = take_as_pooled(session)
    with hold.read_only() as connection:
        compute(1.2)
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_transaction_that_computes_between_its_statements_is_not_ended_by_the_server(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrapper.postgres.lock.transactions.IDLE_TIMEOUT", "400ms")
    monkeypatch.setattr("bootstrapper.postgres.lock.heartbeat.BEAT_SECONDS", 0.05)
    hold = take(session)
    with hold.transaction() as connection:
        connection.execute("CREATE TABLE public.computed ()")
        compute(1.2)
    assert session.connection.execute("SELECT to_regclass('public.computed')::text").fetchone() == ("public.computed",)


def test_a_heartbeat_in_flight_is_not_taken_for_an_open_transaction_of_a_step(
    session: Session, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrapper.postgres.lock.heartbeat.BEAT_SECONDS", 0.01)
    hold = take(session)
    with hold.beating("migrate"), psycopg.connect(database) as other:
        other.execute("LOCK TABLE bootstrapper.lock IN ACCESS EXCLUSIVE MODE")  # the beat waits for it
        with psycopg.connect(database, autocommit=True) as watching:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'bootstrapper.lock'::regclass"
            assert eventually(lambda: watching.execute(waiting).fetchone() == (1,))
        released = threading.Timer(0.2, other.rollback)
        released.start()
        hold.require_no_transaction()
        released.join()


def test_a_heartbeat_leaves_a_transaction_of_the_step_alone(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrapper.postgres.lock.heartbeat.BEAT_SECONDS", 0.01)
    hold = take(session)
    with hold.beating("migrate"):
        with session.read_only() as connection:  # where the lease cannot be renewed
            for _ in range(30):
                connection.execute("SELECT pg_sleep(0.005)")
                compute(0.005)
        assert not hold.is_lost
