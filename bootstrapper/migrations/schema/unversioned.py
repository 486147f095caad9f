"""First contact: finds a database that has tables but no Alembic version."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from bootstrapper.dataclass import dataclass
from bootstrapper.migrations.history.versions import read_versions
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plugin.project import Project
from bootstrapper.postgres.connection.relations import current_schema
from bootstrapper.postgres.connection.settings import transaction
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.table_names import TABLES

# Only the schemas that the revisions work in: hosted databases come with schemas full of their host's tables. A table
# created after the ledger, as its oid tells, is ours: a step created it, or an interrupted revision.
_TABLES = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname IN (%(current)s, %(schema)s)
  AND NOT (n.nspname = %(ledger)s AND c.relname = ANY (%(ledger_tables)s))
  AND c.relname <> ALL (%(version_tables)s)
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class AS l JOIN pg_catalog.pg_namespace AS m ON m.oid = l.relnamespace
                  WHERE m.nspname = %(ledger)s AND l.relname = %(runs)s AND l.oid < c.oid)
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1
"""
_KNOWN = "SELECT EXISTS (SELECT 1 FROM {revisions} WHERE step = %s)"


@dataclass(frozen=True)
class Stranger:
    """A database that this project has not migrated before; `tables` are those in the schema of its revisions."""

    tables: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {len(self.tables) - 1} more" if len(self.tables) > 1 else ""
        return f"{self.tables[0]}{more}"


def stranger(connection: Connection[Any], settings: MigrationSettings, project: Project, step: str) -> Stranger | None:
    """Returns None if there are no tables, or if the ledger or another history accounts for them.

    Called if the version table has no rows. If a revision is to be adopted, other histories do not account for them.
    """
    others = [other for other in _histories(project) if other.version_table_name() != settings.version_table_name()]
    if is_known(connection, project.ledger, step):
        return None
    if settings.adopt is None and any(read_versions(connection, other).rows for other in others):
        return None
    with transaction(connection):
        found = connection.execute(
            _TABLES,
            {
                "schema": settings.version_table_schema,
                "current": current_schema(connection),
                "ledger": project.ledger.schema,
                "runs": project.ledger.table_name("runs"),
                "ledger_tables": [project.ledger.table_name(name) for name in TABLES],
                "version_tables": [settings.version_table, *(other.version_table for other in others)],
            },
        ).fetchall()
    return Stranger(tuple(row[0] for row in found)) if found else None


def _histories(project: Project) -> list[MigrationSettings]:
    return [unit.options for unit in project.steps.values() if isinstance(unit.options, MigrationSettings)]


def is_known(connection: Connection[Any], names: LedgerNames, step: str) -> bool:
    """Whether a run recorded revisions of this step before; False if the ledger cannot be read."""
    try:
        with transaction(connection):
            row = connection.execute(names.fill(_KNOWN), (step,)).fetchone()
    except ledger.UNREADABLE:
        return False
    return row is not None and bool(row[0])
