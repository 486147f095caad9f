"""Whether the role may create tables in the schema of the version table and the revisions."""

from __future__ import annotations

from psycopg import sql

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import RefusedError
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plans import Finding
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.settings import ask_lent
from bootstrapper.postgres.connection.sqlstates import INSUFFICIENT_PRIVILEGE

# Also as a role that env.py may SET. A schema that does not exist may be created by env.py.
_REFUSED = """
SELECT n.nspname, current_user::pg_catalog.text FROM pg_catalog.pg_namespace AS n
WHERE n.nspname OPERATOR(pg_catalog.=) coalesce(%s::pg_catalog.name, pg_catalog.current_schema())
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_roles AS r
      WHERE pg_catalog.pg_has_role(r.oid, 'MEMBER') AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE'))
"""


@dataclass(frozen=True)
class MissingRight:
    schema: str
    role: str

    @property
    def reason(self) -> str:
        return f"role {self.role!r} may not create tables in schema {self.schema!r}"

    @property
    def grant(self) -> str:
        statement = sql.SQL("GRANT CREATE ON SCHEMA {} TO {}")
        return statement.format(sql.Identifier(self.schema), sql.Identifier(self.role)).as_string()

    @property
    def hint(self) -> str:
        return f"Run as the owner of the schema: {self.grant};"

    @property
    def finding(self) -> Finding:
        return Finding(f"schema {self.schema}", f"role {self.role!r} may not create tables in it", self.grant)

    def error(self, where: str, step: str) -> RefusedError:
        return RefusedError(where, self.reason, sqlstate=INSUFFICIENT_PRIVILEGE, hint=self.hint, step=step)


def missing(context: RunContext, settings: MigrationSettings) -> MissingRight | None:
    """Returns the privilege that the version table requires; None if the role has it, or if the schema is missing."""
    row = ask_lent(context.connection, _REFUSED, (settings.version_table_schema,)).fetchone()
    return MissingRight(*row) if row else None
