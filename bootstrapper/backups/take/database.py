"""Reads what a backup records about the database: size, revision, row counts, unfinished runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection, sql

from bootstrapper.backups.stores.store import Backup
from bootstrapper.config.units import show_seconds, show_size
from bootstrapper.postgres.ledger.ledger import LedgerNames

# Alembic's version tables, recognised by their columns: a project may rename them, move them, and have several.
_VERSION_TABLES = """
SELECT n.nspname, c.relname,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'version_num'
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND (c.relnatts = 1 OR c.relname = 'alembic_version')
ORDER BY n.nspname, c.relname
"""
_MAY_READ = """
SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s
"""
# The rows of a partitioned table are those of its partitions, which are listed too.
_ROWS = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname), NULLIF(c.reltuples, -1)::bigint
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname !~ '^(pg_|information_schema$)'
  AND (n.nspname, c.relname) <> (%s, %s)
ORDER BY n.nspname, c.relname
"""
_UNFINISHED = """
SELECT run_id FROM {runs}
WHERE outcome IS DISTINCT FROM 'done' AND (%(inputs)s::text IS NULL OR inputs = %(inputs)s)
  AND serial > COALESCE((SELECT max(serial) FROM {runs} WHERE outcome = 'done' AND command <> 'backup'), 0)
"""


def size(connection: Connection[Any]) -> int:
    """Returns the size of the database in bytes, including indexes."""
    query = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())"
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def revision(connection: Connection[Any]) -> tuple[str, ...] | None:
    """Returns the rows of all version tables, sorted; empty without such a table, None if one is not readable."""
    tables = connection.execute(_VERSION_TABLES).fetchall()
    if not all(readable for _, _, readable in tables):
        return None
    one = sql.SQL("SELECT version_num::text FROM {}")
    queries = [one.format(sql.Identifier(schema, name)) for schema, name, _ in tables]
    if not queries:
        return ()
    return tuple(sorted(row[0] for row in connection.execute(sql.SQL(" UNION ALL ").join(queries))))


def row_estimates(connection: Connection[Any], names: LedgerNames) -> dict[str, int | None]:
    """Returns the planner's row estimates by table; None for a table that was never analysed.

    Leaves out our lock table, which no dump contains.
    """
    return dict(connection.execute(_ROWS, (names.schema, names.table_name("lock"))).fetchall())


def unfinished_runs(
    connection: Connection[Any], names: LedgerNames, inputs: str | None = None
) -> frozenset[UUID] | None:
    """Returns the failed, killed and running runs since the last success of another command than `backup`.

    Args:
        inputs: Only runs of the configuration with this digest.

    Returns:
        Empty if there is no ledger; None if it is not readable.
    """
    row = connection.execute(_MAY_READ, (names.schema, names.table_name("runs"))).fetchone()
    if row is None:
        return frozenset()
    if not row[0]:
        return None
    return frozenset(row[0] for row in connection.execute(names.fill(_UNFINISHED), {"inputs": inputs}))


def expectation(connection: Connection[Any], earlier: Sequence[Backup]) -> str:
    """Returns the database's size, with the size and duration of the next backup extrapolated from the newest one.

    Args:
        earlier: Backups of the same database by the same step, newest first.
    """
    total = size(connection)
    said = f"database size {show_size(total)}"
    last = next((backup.manifest for backup in earlier if backup.manifest.seconds), None)
    if last is None or not last.seconds or not last.database_size:
        return said
    growth = total / last.database_size
    return (
        f"{said}; estimated from {last.file}: about {show_size(round(last.size * growth))} "
        f"in {show_seconds(last.seconds * growth)}"
    )
