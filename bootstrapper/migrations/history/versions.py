"""Reads and writes the version rows of the configured database, whatever database the project's code went to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection, sql

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import GuardError
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.postgres.connection.relations import current_schema
from bootstrapper.postgres.connection.settings import ask_lent
from bootstrapper.postgres.lock.fence import Fence

BASE = "base"

# Every role may read the catalogues; to_regclass would fail on a schema that the role may not use.
_FIND = """
SELECT n.nspname, pg_catalog.has_schema_privilege(n.oid, 'USAGE')
    AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.relname OPERATOR(pg_catalog.=) %(table)s AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v}')
  AND CASE WHEN %(schema)s::pg_catalog.text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
           ELSE n.nspname OPERATOR(pg_catalog.=) %(schema)s END
"""
# As Alembic creates it, but wider for longer identifiers.
_CREATE = """
CREATE TABLE IF NOT EXISTS {table} (version_num varchar({width}) NOT NULL, CONSTRAINT {key} PRIMARY KEY (version_num))
"""
_WIDTH = 32
_NOTE = "INSERT INTO {revisions} (run_id, step, revision, action) VALUES (%s, %s, %s, 'stamp')"


@dataclass(frozen=True)
class Versions:
    """Attributes:
    rows: The revisions that the database is at; empty without a version table.
    is_readable: False if the table exists and the role may not read it.
    schema: The schema of the table; None without a table.
    """

    rows: tuple[str, ...] = ()
    is_readable: bool = True
    schema: str | None = None

    @property
    def is_missing(self) -> bool:
        return self.schema is None


def rows_query(settings: MigrationSettings, schema: str | None = None) -> sql.Composed:
    """Selects the version rows; fails without a table."""
    schema = schema or settings.version_table_schema
    table = sql.Identifier(schema, settings.version_table) if schema else sql.Identifier(settings.version_table)
    return sql.SQL("SELECT version_num::pg_catalog.text FROM {} ORDER BY 1").format(table)


def read_versions(connection: Connection[Any], settings: MigrationSettings) -> Versions:
    """Looks for the table before it reads it, so that a missing table does not abort the transaction."""
    parameters = {"table": settings.version_table, "schema": settings.version_table_schema}
    found = ask_lent(connection, _FIND, parameters).fetchone()
    if found is None:
        return Versions()
    schema, is_readable = found
    if not is_readable:
        return Versions(is_readable=False, schema=schema)
    rows = connection.execute(rows_query(settings, schema)).fetchall()
    return Versions(tuple(row[0] for row in rows), schema=schema)


def write_versions(
    connection: Connection[Any],
    settings: MigrationSettings,
    rows: Sequence[str],
    fence: Fence,
    step: str,
    *,
    found: Versions,
) -> None:
    """Replaces the version rows, inside a transaction that passed the fence; creates the table where it is missing.

    Args:
        found: The version rows when the change was planned.

    Raises GuardError where the table has other rows by now.
    """
    name = settings.version_table
    schema = found.schema or settings.version_table_schema or current_schema(connection)
    table = sql.Identifier(schema, name) if schema else sql.Identifier(name)
    key, width = sql.Identifier(f"{name}_pkc"), max([_WIDTH, *(len(row) for row in rows)])
    connection.execute(sql.SQL(_CREATE).format(table=table, key=key, width=sql.Literal(width)))
    deleted = connection.execute(sql.SQL("DELETE FROM {} RETURNING version_num::text").format(table)).fetchall()
    before = sorted(row[0] for row in deleted)
    if before != sorted(found.rows):
        planned, now = (", ".join(revisions) or BASE for revisions in (sorted(found.rows), before))
        raise GuardError(f"the database is at revision {now}, but was at {planned} when the change was planned")
    connection.execute(fence.ledger.fill(_NOTE), (fence.run_id, step, ", ".join(rows) or BASE))
    for row in rows:
        connection.execute(sql.SQL("INSERT INTO {} (version_num) VALUES (%s)").format(table), (row,))
