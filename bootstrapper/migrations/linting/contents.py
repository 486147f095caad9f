"""Whether a database holds rows that a change could destroy or block."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plugin.project import Project
from bootstrapper.postgres.ledger.table_names import TABLES

# A table without a single page has no rows for certain; estimates may be outdated.
_HOLDS_ROWS = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND NOT (n.nspname = %(ledger)s AND c.relname = ANY (%(ledger_tables)s))
      AND c.relname <> ALL (%(version_tables)s)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      AND pg_catalog.pg_relation_size(c.oid) > 0
    UNION ALL SELECT FROM pg_catalog.pg_class WHERE relkind = 'f'
)
"""


def holds_rows(connection: Connection[Any], project: Project) -> bool:
    """Returns whether any table holds rows, beside those of the ledger, of extensions and of Alembic's versions.

    A foreign table counts as one that does.
    """
    options = [unit.options for unit in project.steps.values()]
    row = connection.execute(
        _HOLDS_ROWS,
        {
            "ledger": project.ledger.schema,
            "ledger_tables": [project.ledger.table_name(name) for name in TABLES],
            "version_tables": [each.version_table for each in options if isinstance(each, MigrationSettings)],
        },
    ).fetchone()
    return row is not None and bool(row[0])
