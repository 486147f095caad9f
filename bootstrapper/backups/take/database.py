"""What a backup has to know of the database: its size, its revision, and the runs that did not finish."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import Connection, sql

from bootstrapper.postgres.ledger.ledger import LedgerNames

# Alembic's version table by what it looks like: projects give it other names, other schemas, and have several.
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
# A partitioned table counts the rows of its partitions, which are listed too.
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
    """Bytes of the whole database, indexes too."""
    query = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())"
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def revision(connection: Connection[Any]) -> tuple[str, ...] | None:
    """The rows of all version tables, sorted; empty where there is none, None where one may not be read."""
    tables = connection.execute(_VERSION_TABLES).fetchall()
    if not all(readable for _, _, readable in tables):
        return None
    one = sql.SQL("SELECT version_num::text FROM {}")
    queries = [one.format(sql.Identifier(schema, name)) for schema, name, _ in tables]
    if not queries:
        return ()
    return tuple(sorted(row[0] for row in connection.execute(sql.SQL(" UNION ALL ").join(queries))))


def row_estimates(connection: Connection[Any], names: LedgerNames) -> dict[str, int | None]:
    """What the planner takes for the number of rows, by table; None where the table was never analysed.

    Our lock table, which no dump has, is not among them.
    """
    return dict(connection.execute(_ROWS, (names.schema, names.table_name("lock"))).fetchall())


def unfinished_runs(
    connection: Connection[Any], names: LedgerNames, inputs: str | None = None
) -> frozenset[UUID] | None:
    """Runs since the last one that was done, other than a mere backup, which failed, were killed or are still going.

    Args:
        inputs: Only runs of the configuration with this digest.

    Returns:
        Empty where there is no ledger; None where it may not be read.
    """
    row = connection.execute(_MAY_READ, (names.schema, names.table_name("runs"))).fetchone()
    if row is None:
        return frozenset()
    if not row[0]:
        return None
    return frozenset(row[0] for row in connection.execute(names.fill(_UNFINISHED), {"inputs": inputs}))
