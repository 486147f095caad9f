"""The lock of a run: taken without ever blocking, and the fence that every writing transaction passes.

Authority is the row of the ledger's `lock` table. On a direct connection a session advisory lock stands in front of
it, so that a killed holder frees it at once; through a pooler, where session locks mean nothing, the row carries a
lease instead, kept up by a heartbeat.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Connection, errors

from bootstrapper.errors import CommitUnknownError, FencedOffError
from bootstrapper.postgres import ledger
from bootstrapper.postgres.heartbeat import LEASE_SECONDS, Heartbeat
from bootstrapper.postgres.ledger import LedgerNames
from bootstrapper.postgres.session import Session

FENCE_LOCK_TIMEOUT = "10s"
IDLE_TIMEOUT = "5min"

_TAKE = """
SELECT run_id, host, pid, step, acquired_at, expires_at > clock_timestamp(),
       EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity AS a
               WHERE a.pid = worker_backend_pid AND a.backend_start = worker_backend_start), token
FROM {lock} FOR UPDATE SKIP LOCKED
"""
_OWN = """
UPDATE {lock} SET run_id = %s, token = token + 1, mode = %s, host = %s, pid = %s, step = NULL,
    backend_pid = pg_backend_pid(),
    backend_start = (SELECT backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_backend_pid()),
    worker_backend_pid = NULL, worker_backend_start = NULL,
    acquired_at = clock_timestamp(), expires_at = clock_timestamp() + %s * interval '1 second'
RETURNING token
"""
# The advisory lock is looked up by our own backend: after a reconnect there is none, whatever the row says.
_FENCE = """
SELECT %s OR EXISTS (SELECT 1 FROM pg_catalog.pg_locks
    WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() AND objsubid = 1
      AND (classid::bigint << 32 | objid::bigint) = %s
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
FROM {lock} WHERE run_id = %s AND token = %s FOR UPDATE
"""
_HOLDER = "SELECT run_id, host, pid, step, acquired_at FROM {lock} WHERE run_id IS NOT NULL"
_RELEASE = """
UPDATE {lock} SET run_id = NULL, mode = NULL, host = NULL, pid = NULL, step = NULL, backend_pid = NULL,
    backend_start = NULL, worker_backend_pid = NULL, worker_backend_start = NULL, acquired_at = NULL, expires_at = NULL
WHERE run_id = %s AND token = %s
"""


@dataclass(frozen=True)
class Holder:
    """Who has the lock, as far as the row tells."""

    host: str | None = None
    pid: int | None = None
    run_id: UUID | None = None
    step: str | None = None
    since: datetime | None = None

    def __str__(self) -> str:
        if self.run_id is None:
            return "held by a run that has not said its name yet"
        since = f" since {self.since:%Y-%m-%d %H:%M:%S %Z}" if self.since else ""
        step = f", in step {self.step!r}" if self.step else ""
        return f"held by run {self.run_id} (host {self.host}, process {self.pid}){step}{since}"


@dataclass(frozen=True)
class RunDetails:
    """What the ledger notes of a run when it takes the lock."""

    run_id: UUID
    command: str
    environment: str | None
    inputs: str
    version: str


@dataclass(frozen=True)
class Fence:
    """What a writing transaction compares, on this connection or in a worker's."""

    run_id: UUID
    token: int
    system_identifier: str | None
    database_oid: int
    ledger: LedgerNames


def advisory_key(names: LedgerNames) -> int:
    """A positive 63-bit key of our own; advisory locks belong to a database, so its name is not in it."""
    digest = hashlib.sha256(f"bootstrapper lock of ledger {names.schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def try_take(session: Session, names: LedgerNames, details: RunDetails) -> Hold | Holder:
    """One try; never waits for anybody. The ledger is created where it is missing.

    Returns:
        The hold, or who has it. After a Holder the session should be closed while waiting.
    """
    connection, key, pooled = session.connection, advisory_key(names), session.server.pooled
    if not pooled and not _scalar(connection, "SELECT pg_catalog.pg_try_advisory_lock(%s)", key):
        return read_holder(connection, names)
    try:
        taken = _take_row(session, names, details, key)
    except BaseException:
        session.close()  # frees the advisory lock, whatever state the connection is in
        raise
    if isinstance(taken, Holder) and not pooled:
        connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", (key,))
    return taken


def _take_row(session: Session, names: LedgerNames, details: RunDetails, key: int) -> Hold | Holder:
    connection, pooled = session.connection, session.server.pooled
    with connection.transaction():
        if not _scalar(connection, "SELECT pg_catalog.pg_try_advisory_xact_lock(%s)", key):
            return read_holder(connection, names)
        connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", (FENCE_LOCK_TIMEOUT,))
        if not ledger.exists(connection, names):
            ledger.create(connection, names)
        ledger.require_known_version(connection, names)
        row = connection.execute(names.fill(_TAKE)).fetchone()
        if row is None:
            return read_holder(connection, names)
        run_id, host, pid, step, since, lease_lives, worker_lives, _ = row
        if run_id is not None and (lease_lives or worker_lives):
            return Holder(host, pid, run_id, step, since)
        token = _own(connection, names, details, pooled)
    server = session.server
    fence = Fence(details.run_id, token, server.system_identifier, server.oid, names)
    return Hold(session, fence, key)


def _own(connection: Connection[Any], names: LedgerNames, details: RunDetails, pooled: bool) -> int:
    lease = LEASE_SECONDS if pooled else None
    host, pid, mode = socket.gethostname(), os.getpid(), "pooled" if pooled else "direct"
    row = connection.execute(names.fill(_OWN), (details.run_id, mode, host, pid, lease)).fetchone()
    assert row is not None
    ledger.start_run(
        connection,
        names,
        run_id=details.run_id,
        token=row[0],
        command=details.command,
        environment=details.environment,
        inputs=details.inputs,
        version=details.version,
        host=host,
        pid=pid,
    )
    return int(row[0])


def read_holder(connection: Connection[Any], names: LedgerNames) -> Holder:
    """Who holds the lock; an empty Holder where that can not be read."""
    try:
        with connection.transaction():
            row = connection.execute(names.fill(_HOLDER)).fetchone()
    except (errors.UndefinedTable, errors.InvalidSchemaName, errors.InsufficientPrivilege):
        return Holder()
    if row is None:
        return Holder()
    run_id, host, pid, step, since = row
    return Holder(host, pid, run_id, step, since)


class Hold:
    """The lock, held. All writing of a run goes through `transaction`."""

    def __init__(self, session: Session, fence: Fence, key: int) -> None:
        self.fence = fence
        self._session = session
        self._key = key
        self._connection = session.connection
        self._pooled = session.server.pooled
        self._heartbeat: Heartbeat | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the heartbeat saw that another run took over, or that the connection died."""
        return self._heartbeat is not None and self._heartbeat.is_lost

    def require(self) -> None:
        """Raises FencedOffError once the hold is known to be lost."""
        if self.is_lost:
            raise FencedOffError("another run has the lock, or the connection to it died")

    @contextmanager
    def transaction(self) -> Iterator[Connection[Any]]:
        """A writing transaction that passed the fence; committed at the end, rolled back on any error.

        Raises:
            FencedOffError: The lock is not ours any more.
            CommitUnknownError: The connection died at COMMIT.
        """
        connection = self._connection
        if connection.closed:
            raise FencedOffError("the connection that held the lock is gone")
        connection.execute("BEGIN")
        try:
            self._pass_fence(connection)
            yield connection
        except BaseException:
            if not connection.closed:
                connection.execute("ROLLBACK")
            raise
        try:
            connection.execute("COMMIT")
        except psycopg.OperationalError as error:
            if connection.closed:
                raise CommitUnknownError("the server closed it") from error
            raise

    def _pass_fence(self, connection: Connection[Any]) -> None:
        settings = (
            "SELECT set_config('lock_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true)"
        )
        connection.execute(settings, (FENCE_LOCK_TIMEOUT, IDLE_TIMEOUT))
        names, fence = self.fence.ledger, self.fence
        statement = names.fill(_FENCE)
        row = connection.execute(statement, (self._pooled, self._key, fence.run_id, fence.token)).fetchone()
        if row is None:
            raise FencedOffError("another run has taken the lock")
        if not row[0]:
            raise FencedOffError("this connection does not hold the lock")

    @contextmanager
    def beating(self, step: str) -> Iterator[None]:
        """Keeps the lease up while work runs off this connection, such as a program or a worker."""
        statement = self.fence.ledger.fill(
            "UPDATE {lock} SET step = %s, expires_at = clock_timestamp() + %s * interval '1 second'"
        )
        with self.transaction() as connection:
            connection.execute(statement, (step, LEASE_SECONDS))
        heartbeat = self._heartbeat = Heartbeat(
            self._connection, self.fence.ledger, self.fence.run_id, self.fence.token
        )
        with heartbeat:
            yield
        self.require()
        with self.transaction() as connection:
            connection.execute(statement, (None, LEASE_SECONDS if self._pooled else None))

    def on_loss(self, callback: Callable[[], None]) -> None:
        """Calls back from the heartbeat's thread once the hold is lost, to stop what runs off this connection."""
        if self._heartbeat is not None:
            self._heartbeat.on_loss = callback

    def release(self) -> None:
        """Gives the lock back; closes the connection where that does not work, which frees it too."""
        try:
            with self.transaction() as connection:
                connection.execute(self.fence.ledger.fill(_RELEASE), (self.fence.run_id, self.fence.token))
            unlock = "SELECT pg_catalog.pg_advisory_unlock(%s)"
            if not self._pooled and not _scalar(self._connection, unlock, self._key):
                self._session.close()
        except (psycopg.Error, FencedOffError, CommitUnknownError):
            self._session.close()


def _scalar(connection: Connection[Any], statement: str, parameter: object) -> bool:
    row = connection.execute(statement.encode(), (parameter,)).fetchone()
    return row is not None and bool(row[0])
