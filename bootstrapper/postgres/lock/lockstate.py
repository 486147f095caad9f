"""Shows the lock from outside, and breaks it if its holder does not come back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection, errors

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import GuardError, LockBusyError
from bootstrapper.postgres.connection import settings
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.run_ids import is_end_of

_BREAK_LOCK_TIMEOUT = "10s"

HIDDEN = "unknown"

# What a session of another role does is hidden from roles without pg_read_all_stats; its pid is not, and neither are
# locks. Each of our transactions that writes, such as that of a revision, keeps the row locked until it ends: meanwhile
# the lease is not renewed, and no other run takes over.
_STATE = """
SELECT l.run_id, l.token, l.mode, l.host, l.pid, l.step, l.acquired_at, l.expires_at, clock_timestamp(),
       l.backend_pid, CASE WHEN h.backend_start IS NULL AND h.pid IS NOT NULL THEN 'unknown' ELSE h.state END,
       l.worker_backend_pid, EXISTS (
           SELECT FROM pg_catalog.pg_locks AS k
           WHERE k.locktype = 'relation' AND k.relation = l.tableoid AND k.mode = 'RowShareLock' AND k.granted
             AND k.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
       )
FROM {lock} AS l
LEFT JOIN pg_catalog.pg_stat_activity AS h
    ON h.pid = l.backend_pid AND (h.backend_start = l.backend_start OR h.backend_start IS NULL)
WHERE l.run_id IS NOT NULL
"""
_BLOCKED = """
SELECT pid, application_name, coalesce(query, ''), extract(epoch FROM clock_timestamp() - query_start)::float8
FROM pg_catalog.pg_stat_activity
WHERE cardinality(pg_catalog.pg_blocking_pids(pid)) > 0 AND pg_catalog.pg_blocking_pids(pid) && %s::int[]
ORDER BY query_start
"""
# Backends are ended only if pid and start agree: a pid alone may belong to another session by now.
_END_BACKENDS = """
SELECT pg_catalog.pg_terminate_backend(a.pid) FROM {lock} AS l JOIN pg_catalog.pg_stat_activity AS a
    ON (a.pid = l.backend_pid AND a.backend_start = l.backend_start AND l.mode = 'direct')
    OR (a.pid = l.worker_backend_pid AND a.backend_start = l.worker_backend_start)
WHERE l.run_id = %s AND a.pid <> pg_catalog.pg_backend_pid()
"""
_CLEAR = "UPDATE {lock} SET token = token + 1, {no_holder} WHERE run_id = %s"


@dataclass(frozen=True)
class BlockedQuery:
    """A query that waits for a backend of the holder."""

    pid: int
    application_name: str
    query: str
    seconds: float | None


@dataclass(frozen=True)
class LockState:
    """The lock as its row tells it.

    Attributes:
        mode: "direct" or "pooled".
        lease_seconds: Seconds until the lease expires, negative once it has; None without a lease, since a direct
            holder's own connection is its lease.
        connection: State of the holder's connection: "active", "idle", ...; "unknown" if the role may not see it; None
            if it is closed, or behind a pooler.
        blocked: Queries that wait for the holder's locks.
        in_transaction: Whether a transaction of the run is open: no other run takes over before that ends.
    """

    run_id: UUID
    token: int
    mode: str
    host: str
    pid: int
    step: str | None
    since: datetime
    lease_seconds: float | None
    connection: str | None
    blocked: tuple[BlockedQuery, ...]
    in_transaction: bool = False


def read_state(connection: Connection[Any], names: LedgerNames) -> LockState | None:
    """Returns the lock's state; None if it is free, or the ledger does not exist."""
    try:
        with settings.transaction(connection):
            row = connection.execute(names.fill(_STATE), binary=True).fetchone()  # as text it depends on DateStyle
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return None
    if row is None:
        return None
    run_id, token, mode, host, pid, step, since, expires_at, now, backend_pid, state, worker_pid, is_open = row
    lease = (expires_at - now).total_seconds() if expires_at is not None else None
    blocked = _blocked(connection, [found for found in (backend_pid, worker_pid) if found is not None])
    connected = state if mode == "direct" else None
    return LockState(run_id, token, mode, host, pid, step, since, lease, connected, blocked, is_open)


def _blocked(connection: Connection[Any], backends: Sequence[int]) -> tuple[BlockedQuery, ...]:
    rows = connection.execute(_BLOCKED, (list(backends),)).fetchall()
    return tuple(BlockedQuery(*row) for row in rows)


def break_lock(connection: Connection[Any], names: LedgerNames, run: str) -> LockState:
    """Terminates the holder's backends, raises the token and clears the row; the server rolls back what was open.

    Args:
        run: The id of the run, or the end of it.

    Returns:
        The state that was ended.

    Raises:
        GuardError: Another run holds the lock, or none.
        LockBusyError: The holder's open transaction could not be terminated.
    """
    with settings.transaction(connection):
        state = read_state(connection, names)
    if state is None:
        raise GuardError("the lock is free")
    run_id = state.run_id
    if not is_end_of(run_id, run):
        raise GuardError(
            f"the lock is held by run {run_id}, not by {run}", hint="Look at it again with `bootstrapper lock show`."
        )
    with settings.transaction(connection):
        connection.execute(names.fill(_END_BACKENDS), (run_id,))
    try:
        with settings.transaction(connection):
            connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", (_BREAK_LOCK_TIMEOUT,))
            connection.execute(names.fill(_CLEAR), (run_id,))
            ledger.finish_run(connection, names, run_id, ledger.BROKEN, "the lock was broken")
    except errors.LockNotAvailable as error:
        raise LockBusyError(str(run_id)) from error
    return state
