"""Lists and terminates the other sessions of a database."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection, errors

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import GuardError

_PAUSE_SECONDS = 0.05
_SHOWN = 5

# Autovacuum workers end by themselves when the database is renamed. An ordinary role sees little of the sessions of
# other roles; one without a role then is such a worker.
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
    """Another session; the address is None if this role may not see it."""

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
    """Returns all other sessions in the database, oldest first."""
    return [Session(*row) for row in connection.execute(_OTHERS, (database, list(own))).fetchall()]


def require_no_prepared(connection: Connection[Any], database: str) -> None:
    """Raises GuardError for prepared transactions, which belong to the database and not to a session."""
    found = [gid for (gid,) in connection.execute(_PREPARED, (database,)).fetchall()]
    if found:
        raise GuardError(
            f"database {database!r} has prepared transactions: {', '.join(found)}",
            hint="End each with COMMIT PREPARED or ROLLBACK PREPARED.",
        )


def refusal(found: list[Session], database: str) -> GuardError:
    """Returns the error that names the other sessions."""
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return GuardError(
        f"other sessions are connected to database {database!r}:",
        details=[*map(str, found[:_SHOWN]), *more],
        hint="Stop the application, or pass --terminate to end their sessions.",
    )


def terminate(connection: Connection[Any], database: str, own: Sequence[int] = ()) -> None:
    """Terminates the other sessions; raises GuardError if the role may not."""
    try:
        connection.execute(_TERMINATE, (database, list(own)))
    except errors.InsufficientPrivilege as error:
        raise GuardError(
            f"cannot terminate the sessions in database {database!r}: {error.diag.message_primary}",
            hint="Run as a member of pg_signal_backend, or as a superuser if superusers are connected.",
        ) from error


@contextmanager
def kept_out(connection: Connection[Any], database: str) -> Iterator[None]:
    """Keeps terminating sessions in the database, in a thread that has `connection` for itself.

    A connection pool reconnects at once, but the server refuses new connections while a RENAME waits, so that no
    session remains at last.
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
