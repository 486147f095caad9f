"""The lock of a run: taken without ever blocking, and the fence that every writing transaction passes.

Authority is the row of the ledger's `lock` table. On a direct connection a session advisory lock stands in front of
it, so that a killed holder frees it at once; through a pooler, where session locks mean nothing, the row carries a
lease instead, kept up by a heartbeat.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Connection, errors

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import FrozenError, RefusedError, StepFailedError, UnreachableError
from bootstrapper.postgres.connection import settings
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.sqlstates import RETRY_TRANSACTION
from bootstrapper.postgres.ledger import frozen, ledger, rights
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.ownership import require_ours
from bootstrapper.postgres.lock.fence import Fence
from bootstrapper.postgres.lock.heartbeat import LEASE_SECONDS
from bootstrapper.postgres.lock.hold import Hold
from bootstrapper.postgres.lock.transactions import FENCE_LOCK_TIMEOUT, WATCH_CLIENT

# The start of another role's backend is hidden from us: then the pid alone has to do, on the safe side.
_TAKE = """
SELECT run_id, host, pid, step, acquired_at, expires_at > clock_timestamp(),
       EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity AS a
               WHERE a.pid = worker_backend_pid
                 AND (a.backend_start = worker_backend_start OR a.backend_start IS NULL))
FROM {lock} FOR UPDATE SKIP LOCKED
"""
# The second one is held alone while the database is being frozen.
_ENTER = """
SELECT 1 WHERE pg_catalog.pg_try_advisory_xact_lock(%s) AND pg_catalog.pg_try_advisory_xact_lock_shared(%s)
"""
_OWN = """
UPDATE {lock} SET run_id = %s, token = token + 1, mode = %s, host = %s, pid = %s, step = NULL,
    backend_pid = pg_backend_pid(),
    backend_start = (SELECT backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_backend_pid()),
    worker_backend_pid = NULL, worker_backend_start = NULL,
    acquired_at = clock_timestamp(), expires_at = clock_timestamp() + %s * interval '1 second'
RETURNING token
"""
_HOLDER = "SELECT run_id, host, pid, step, acquired_at FROM {lock} WHERE run_id IS NOT NULL"


@dataclass(frozen=True)
class Holder:
    """The holder of the lock, as far as the row tells."""

    host: str | None = None
    pid: int | None = None
    run_id: UUID | None = None
    step: str | None = None
    since: datetime | None = None

    def __str__(self) -> str:
        if self.run_id is None:
            return "held by another run, which has just taken it"
        since = f" since {self.since:%Y-%m-%d %H:%M:%S %Z}" if self.since else ""
        step = f", in step {self.step!r}" if self.step else ""
        return f"held by run {self.run_id} (host {self.host}, process {self.pid}){step}{since}"


@dataclass(frozen=True)
class RunDetails:
    """What the ledger records of a run when it takes the lock.

    Attributes:
        file: The configuration, as it was named on the command line.
        plan: The digest of the saved plan that the run applies.
        declared: Digests of the steps and fixtures that the run applies.
        ignores_freeze: Whether the run takes the lock of a frozen database, too.
    """

    run_id: UUID
    command: str
    environment: str | None
    inputs: str
    version: str
    project: str | None = None
    file: str | None = None
    plan: str | None = None
    declared: Mapping[str, str] = field(default_factory=dict)
    ignores_freeze: bool = False


def advisory_key(names: LedgerNames) -> int:
    """Returns a positive 63-bit key of our own; advisory locks belong to a database, so its name is not in it."""
    digest = hashlib.sha256(f"bootstrapper lock of ledger {names.schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def try_take(session: Session, names: LedgerNames, details: RunDetails) -> Hold | Holder:
    """Tries to take the lock once and never waits. Creates the ledger if it is missing.

    Returns:
        The hold, or the holder. After a Holder the session should be closed while waiting.

    Raises FrozenError if the database is frozen, unless the run ignores that.
    """
    with session.limited(session.connection):
        return _try_take(session, names, details)


def _try_take(session: Session, names: LedgerNames, details: RunDetails) -> Hold | Holder:
    connection, key, pooled = session.connection, advisory_key(names), session.server.pooled
    try:
        if not pooled and not _scalar(connection, "SELECT pg_catalog.pg_try_advisory_lock(%s)", key):
            return read_holder(connection, names)
        taken = _take_row(session, names, details, key)
        if isinstance(taken, Holder) and not pooled:
            connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", (key,))
    except psycopg.Error as error:
        is_lost = connection.closed
        session.close()
        return _judge(error, session.target.where, names, is_lost=is_lost)
    except BaseException:
        session.close()  # frees the advisory lock, whatever state the connection is in
        raise
    return taken


def _judge(error: psycopg.Error, where: str, names: LedgerNames, *, is_lost: bool) -> Holder:
    """Returns an unknown holder if the refusal means that another session is in the way; raises any other refusal."""
    if error.sqlstate in RETRY_TRANSACTION:
        return Holder()
    message = error.diag.message_primary or str(error).partition("\n")[0]
    if is_lost:
        raise UnreachableError(where, "connection lost while acquiring the lock", sqlstate=error.sqlstate) from error
    if isinstance(error, errors.ReadOnlySqlTransaction):
        raise UnreachableError(where, "the server is read-only", sqlstate=error.sqlstate) from error
    if isinstance(error, psycopg.ProgrammingError):
        is_right = isinstance(error, errors.InsufficientPrivilege)
        hint = "Grant the role what it needs there" if is_right else "Name a schema that no other program uses"
        raise RefusedError(
            where,
            f"could not acquire the lock in the ledger's schema {names.schema!r}: {message}",
            sqlstate=error.sqlstate,
            hint=f"{hint}, or another schema: ledger: {{schema: NAME}}.",
        ) from error
    raise StepFailedError(f"could not acquire the lock: {message}", sqlstate=error.sqlstate) from error


def _take_row(session: Session, names: LedgerNames, details: RunDetails, key: int) -> Hold | Holder:
    connection, pooled = session.connection, session.server.pooled
    with settings.transaction(connection):
        if not connection.execute(_ENTER, (key, frozen.advisory_key(names))).fetchone():
            return read_holder(connection, names)
        connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", (FENCE_LOCK_TIMEOUT,))
        if not ledger.exists(connection, names):
            ledger.create(connection, names)
        require_ours(connection, names, session.target.where)
        ledger.complete(connection, names)
        freeze = None if details.ignores_freeze else frozen.read(connection, names)
        if freeze is not None:
            raise FrozenError(session.server.database, str(freeze))
        rights.grant(connection, names)
        row = connection.execute(names.fill(_TAKE), binary=True).fetchone()  # text depends on the role's DateStyle
        if row is None and not connection.execute(names.fill("SELECT 1 FROM {lock}")).fetchone():
            ledger.create(connection, names)  # a restored dump brought the table without its row
            row = connection.execute(names.fill(_TAKE), binary=True).fetchone()
        if row is None:
            return read_holder(connection, names)
        run_id, host, pid, step, since, lease_lives, worker_lives = row
        if run_id is not None and (lease_lives or worker_lives):
            return Holder(host, pid, run_id, step, since)
        ledger.catch_up(connection, names)
        token = _own(connection, names, details, pooled)
    server = session.server
    watches = not pooled and _is_told_to_watch(connection)
    name = session.name_of(details.run_id)
    fence = Fence(details.run_id, token, server.system_identifier, server.oid, names, watches, pooled, name)
    return Hold(session, fence, key)


def _is_told_to_watch(connection: Connection[Any]) -> bool:
    """Whether the server can watch for our death, as some operating systems cannot.

    A killed holder would keep the lock until its statement ends.
    """
    try:
        connection.execute(WATCH_CLIENT)
    except (errors.FeatureNotSupported, errors.InvalidParameterValue):
        return False
    return True


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
        project=details.project,
        file=details.file,
        plan=details.plan,
        declared=details.declared,
    )
    return int(row[0])


def read_holder(connection: Connection[Any], names: LedgerNames) -> Holder:
    """Returns the holder of the lock; an empty Holder if that cannot be read."""
    try:
        with settings.transaction(connection):
            row = connection.execute(names.fill(_HOLDER), binary=True).fetchone()
    except ledger.UNREADABLE:
        return Holder()
    if row is None:
        return Holder()
    run_id, host, pid, step, since = row
    return Holder(host, pid, run_id, step, since)


def _scalar(connection: Connection[Any], statement: str, parameter: object) -> bool:
    row = connection.execute(statement.encode(), (parameter,)).fetchone()
    return row is not None and bool(row[0])
