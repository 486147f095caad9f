"""Who else is connected to a database, and how they are asked to leave."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, errors

from bootstrapper.errors import GuardError

_PAUSE_SECONDS = 0.05
_SHOWN = 5

# Workers of autovacuum leave by themselves when somebody wants the database. Of the sessions of other roles an ordinary
# one sees little more than that they are there; what has no role then is such a worker.
_OTHERS = """
SELECT pid, coalesce(usename, backend_type),
       coalesce(nullif(application_name, ''), nullif(backend_type, 'client backend'), ''),
       CASE WHEN backend_type IS NOT NULL THEN coalesce(client_addr::text, 'local') END, coalesce(state, '')
FROM pg_catalog.pg_stat_activity
WHERE datname = %s AND coalesce(backend_type, usename) <> 'autovacuum worker' AND NOT pid = ANY (%s::int[])
ORDER BY backend_start, pid
"""
_PREPARED = "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = %s ORDER BY prepared"
_TERMINATE = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE datname = %s AND coalesce(backend_type, usename) <> 'autovacuum worker' AND NOT pid = ANY (%s::int[])
"""


@dataclass(frozen=True)
class Session:
    """One connection of somebody else; the address is None where this role may not see it."""

    pid: int
    role: str
    application: str
    address: str | None
    state: str

    def __str__(self) -> str:
        application = f" ({self.application})" if self.application else ""
        state = f", {self.state}" if self.state else ""
        address = f" from {self.address}" if self.address is not None else ""
        return f"{self.role}{application}{address}, process {self.pid}{state}"


def others(connection: Connection[Any], database: str, own: Sequence[int] = ()) -> list[Session]:
    """All sessions in the database but our own, oldest first."""
    return [Session(*row) for row in connection.execute(_OTHERS, (database, list(own))).fetchall()]


def require_no_prepared(connection: Connection[Any], database: str) -> None:
    """Raises GuardError over prepared transactions, which belong to a database and to no session that could end."""
    found = [gid for (gid,) in connection.execute(_PREPARED, (database,)).fetchall()]
    if found:
        raise GuardError(
            f"database {database!r} has prepared transactions: {', '.join(found)}",
            hint="End each with COMMIT PREPARED or ROLLBACK PREPARED.",
        )


def refusal(found: list[Session], database: str) -> GuardError:
    """The error that says who is in the way."""
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return GuardError(
        f"others are connected to database {database!r}, which can not be replaced under them:",
        details=[*map(str, found[:_SHOWN]), *more],
        hint="Stop the application, or pass --terminate to end their sessions.",
    )


def terminate(connection: Connection[Any], database: str, own: Sequence[int] = ()) -> None:
    """Raises GuardError where the role may not end somebody's session."""
    try:
        connection.execute(_TERMINATE, (database, list(own)))
    except errors.InsufficientPrivilege as error:
        raise GuardError(
            f"the sessions in database {database!r} can not be ended: {error.diag.message_primary}",
            hint="Run as a role that may (pg_signal_backend, or a superuser where superusers are connected).",
        ) from error


@contextmanager
def kept_out(connection: Connection[Any], database: str) -> Iterator[None]:
    """Within it whoever gets into the database is ended again, by a thread that has `connection` for itself.

    A pool of connections is back a moment after it was cut off; but while the server waits with a RENAME, it lets
    nobody else in, so that ending those who are inside comes to an end.
    """
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(_PAUSE_SECONDS):
            try:
                connection.execute(_TERMINATE, (database, []))
            except psycopg.Error:
                return

    thread = threading.Thread(target=work, name="bootstrapper-terminate", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
