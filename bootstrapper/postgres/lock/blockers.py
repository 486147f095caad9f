"""The sessions that hold the locks that ours wait for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection

from bootstrapper.dataclass import dataclass

# Asked of the few sessions alone that wait for a lock: the answer takes the server's lock tables for a moment. What a
# session of another role does is hidden from roles without pg_read_all_stats.
_QUERY = """
SELECT DISTINCT b.pid, a.usename::pg_catalog.text, a.application_name, pg_catalog.host(a.client_addr), a.state,
       a.xact_start, nullif(a.query, '<insufficient privilege>')
FROM pg_catalog.pg_stat_activity AS w
CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS b(pid)
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid OPERATOR(pg_catalog.=) b.pid
WHERE w.wait_event_type OPERATOR(pg_catalog.=) 'Lock'
  AND (w.pid OPERATOR(pg_catalog.=) ANY(%s::pg_catalog.int4[])
       OR w.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
          AND w.application_name OPERATOR(pg_catalog.=) ANY(%s::pg_catalog.text[]))
ORDER BY b.pid
"""

# The indexes of a table are locked with it. Only ACCESS EXCLUSIVE blocks what only reads.
_EXCLUSIVE = """
SELECT DISTINCT l.pid, a.usename::pg_catalog.text, a.application_name, pg_catalog.host(a.client_addr), a.state,
       a.xact_start, nullif(a.query, '<insufficient privilege>')
FROM pg_catalog.pg_locks AS l
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid OPERATOR(pg_catalog.=) l.pid
WHERE l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock' AND l.granted
  AND l.relation OPERATOR(pg_catalog.=) ANY(%s::pg_catalog.oid[])
  AND l.database OPERATOR(pg_catalog.=)
      (SELECT oid FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
ORDER BY l.pid
"""


@dataclass(frozen=True)
class Blocker:
    """A session that holds a lock, or waits for it before ours; None stands for what the server hides from us.

    Attributes:
        pid: Of its backend; 0 for a prepared transaction, which has none.
        host: Where its client is; None for a local socket, too.
        state: What the server says of it: "active", "idle in transaction", ...
        since: When its transaction began.
        statement: What it runs, or ran last.
    """

    pid: int
    role: str | None = None
    application: str | None = None
    host: str | None = None
    state: str | None = None
    since: datetime | None = None
    statement: str | None = None

    def __str__(self) -> str:
        if not self.pid:
            return "a prepared transaction (see pg_prepared_xacts)"
        role = f" of role {self.role}" if self.role else ""
        client = ", ".join(_client(self))
        since = f", in a transaction since {self.since:%Y-%m-%d %H:%M:%S %Z}" if self.since else ""
        state = f", {self.state}" if self.state and self.state != "active" else ""
        statement = f": {self.statement}" if self.statement else ""
        return f"process {self.pid}{role}{f' ({client})' if client else ''}{since}{state}{statement}"


def _client(blocker: Blocker) -> Iterator[str]:
    if blocker.application:
        yield blocker.application
    if blocker.host:
        yield f"host {blocker.host}"


def read_blockers(connection: Connection[Any], pids: Sequence[int], names: Sequence[str]) -> tuple[Blocker, ...]:
    """Returns the sessions that block sessions with one of these backends, or one of these application names."""
    cursor = connection.execute(_QUERY, (list(pids), list(names)), binary=True)
    return tuple(Blocker(*row) for row in cursor.fetchall())  # as text, times depend on DateStyle


def read_exclusive_holders(connection: Connection[Any], relations: Sequence[int]) -> tuple[Blocker, ...]:
    """Returns the sessions that keep others from reading one of these relations."""
    cursor = connection.execute(_EXCLUSIVE, (list(relations),), binary=True)
    return tuple(Blocker(pid or 0, *rest) for pid, *rest in cursor.fetchall())
