"""Reads the health of a database: connections, long transactions, blocked sessions, sequences, slow statements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg import Connection, sql

from bootstrapper.dataclass import dataclass

LONG_SECONDS = 60
NEAR_END = 0.8
_MOST = 10

# The server counts sessions for every role; what those of other roles do, it shows to pg_read_all_stats alone.
_CONNECTIONS = """
SELECT (SELECT sum(numbackends) FROM pg_catalog.pg_stat_database)::int8,
       current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8
           - coalesce(current_setting('reserved_connections', true), '0')::int8,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity AS a WHERE a.datname = current_database()
           AND a.pid <> pg_backend_pid() AND a.query = '<insufficient privilege>'),
       (SELECT n.nspname FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
        WHERE e.extname = 'pg_stat_statements')
"""
_LONG = """
SELECT a.pid, a.usename::text, a.application_name, a.state,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8, a.query
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
  AND a.xact_start < clock_timestamp() - %s * interval '1 second'
ORDER BY a.xact_start
"""
# Locks are shown to every role.
_BLOCKED = """
SELECT l.pid, pg_blocking_pids(l.pid), a.usename::text,
       extract(epoch FROM clock_timestamp() - a.query_start)::float8, a.query
FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks WHERE NOT granted) AS l
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid WHERE a.datname = current_database() ORDER BY l.pid
"""
# A sequence ends with its type, or with that of the column that it fills. Its value is hidden without a right on it.
_SEQUENCES = """
SELECT format('%%I.%%I', s.schemaname, s.sequencename), s.last_value, e.last
FROM pg_catalog.pg_sequences AS s
JOIN pg_catalog.pg_namespace AS n ON n.nspname = s.schemaname
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = s.sequencename
CROSS JOIN LATERAL (
    SELECT min(v.last) AS last FROM (
        SELECT s.max_value AS last
        UNION ALL
        SELECT CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 END
        FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid
            AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
    ) AS v
) AS e
WHERE s.increment_by > 0 AND NOT s.cycle AND s.last_value >= e.last * %s::numeric ORDER BY 1
"""
_SLOWEST = """
SELECT s.query, s.calls, s.mean_exec_time / 1000, s.total_exec_time / 1000 FROM {view} AS s
WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
ORDER BY s.mean_exec_time DESC LIMIT %s
"""


@dataclass(frozen=True)
class LongTransaction:
    """A transaction that began more than LONG_SECONDS ago."""

    pid: int
    role: str | None
    application: str | None
    state: str | None
    seconds: float
    statement: str


@dataclass(frozen=True)
class BlockedSession:
    """A session that waits for a lock, and the processes that hold it or wait before; 0 is a prepared transaction."""

    pid: int
    blocked_by: Sequence[int]
    role: str | None
    seconds: float | None
    statement: str


@dataclass(frozen=True)
class NearSequence:
    """A sequence that has given NEAR_END of its values."""

    name: str
    last_value: int
    end: int


@dataclass(frozen=True)
class SlowStatement:
    """A statement by its mean time, as pg_stat_statements has it."""

    statement: str
    calls: int
    mean_seconds: float
    total_seconds: float


@dataclass(frozen=True)
class Health:
    """The health of a database.

    Attributes:
        connections: Those of the whole server.
        limit: How many the server admits of ordinary roles.
        hidden_sessions: Sessions of other roles in this database whose work the role may not see.
        slowest: None if pg_stat_statements is not installed, or does not answer.
    """

    connections: int
    limit: int
    hidden_sessions: int
    long_transactions: tuple[LongTransaction, ...]
    blocked: tuple[BlockedSession, ...]
    sequences: tuple[NearSequence, ...]
    slowest: tuple[SlowStatement, ...] | None


def read_health(connection: Connection[Any]) -> Health:
    """Asks five questions of the catalogues and statistics, inside the caller's READ ONLY transaction."""
    row = connection.execute(_CONNECTIONS).fetchone()
    assert row is not None
    used, limit, hidden, extension = row
    long = connection.execute(_LONG, (LONG_SECONDS,)).fetchall()
    blocked = connection.execute(_BLOCKED).fetchall()
    sequences = connection.execute(_SEQUENCES, (NEAR_END,)).fetchall()
    return Health(
        used,
        limit,
        hidden,
        tuple(LongTransaction(*each) for each in _with_statements(long)),
        tuple(BlockedSession(*each) for each in _with_statements(blocked)),
        tuple(NearSequence(*row) for row in sequences),
        _slowest(connection, extension),
    )


def _slowest(connection: Connection[Any], schema: str | None) -> tuple[SlowStatement, ...] | None:
    if schema is None:
        return None
    query = sql.SQL(_SLOWEST).format(view=sql.Identifier(schema, "pg_stat_statements"))
    try:
        with connection.transaction():
            rows: Iterable[tuple[Any, ...]] = connection.execute(query, (_MOST,)).fetchall()
    except psycopg.Error:  # it is not loaded, or the role may not read it
        if connection.closed:
            raise
        return None
    return tuple(SlowStatement(_shown(text), *facts) for text, *facts in rows)


def _with_statements(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    yield from ((*facts, _shown(text)) for *facts, text in rows)


def _shown(statement: str | None) -> str:
    """Returns a statement in one line; one that may hold a password in plain text stays hidden."""
    text = " ".join((statement or "").split())
    return "a statement about a password" if "password" in text.lower() else text
