"""Reads the version rows of our own database, whatever database the project's code went to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql

from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.postgres.connection.settings import ask_lent

# The catalogues may be read by anybody; to_regclass would fail on a schema that the role may not use.
_FIND = """
SELECT n.nspname, pg_catalog.has_schema_privilege(n.oid, 'USAGE')
    AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.relname OPERATOR(pg_catalog.=) %(table)s AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v}')
  AND CASE WHEN %(schema)s::pg_catalog.text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
           ELSE n.nspname OPERATOR(pg_catalog.=) %(schema)s END
"""


@dataclass(frozen=True)
class Versions:
    """Attributes:
    rows: The revisions the database is at; empty where there is no version table.
    is_readable: False where the table is there and the role may not read it.
    schema: Where the table was found; None where there is none.
    """

    rows: tuple[str, ...] = ()
    is_readable: bool = True
    schema: str | None = None

    @property
    def is_missing(self) -> bool:
        return self.schema is None


def rows_query(settings: MigrationSettings, schema: str | None = None) -> sql.Composed:
    """The version rows; fails where there is no table."""
    schema = schema or settings.version_table_schema
    table = sql.Identifier(schema, settings.version_table) if schema else sql.Identifier(settings.version_table)
    return sql.SQL("SELECT version_num::pg_catalog.text FROM {} ORDER BY 1").format(table)


def read_versions(connection: Connection[Any], settings: MigrationSettings) -> Versions:
    """Looks for the table before it reads it, so that no transaction is aborted by a table that is missing."""
    parameters = {"table": settings.version_table, "schema": settings.version_table_schema}
    found = ask_lent(connection, _FIND, parameters).fetchone()
    if found is None:
        return Versions()
    schema, is_readable = found
    if not is_readable:
        return Versions(is_readable=False, schema=schema)
    rows = connection.execute(rows_query(settings, schema)).fetchall()
    return Versions(tuple(row[0] for row in rows), schema=schema)
