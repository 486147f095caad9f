"""Example of a local plugin: a role that may read what the application reads, and nothing more.

    steps:
      - uses: read_only_role
        with: {name: app_reader, schemas: [public, bootstrapper]}

The folder is listed under `plugins:` in bootstrap.yaml. A step has two methods: `changes` reads and returns what would
be done, `apply` does it. The engine handles the transaction, the fence of the lock and the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import sql

from bootstrapper import Change, Context, Deferred, Step, StepFailedError, StepModel, hookimpl

_ROLES = """
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s), rolsuper OR rolcreaterole, current_database()
FROM pg_roles WHERE rolname = current_user
"""
# The second answer of each: whether the role of the run may grant it; without that, GRANT only warns.
_MAY_CONNECT = """
SELECT has_database_privilege(%s, current_database(), 'CONNECT'),
    has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION')
"""
_MAY_USE = """
SELECT has_schema_privilege(%s, oid, 'USAGE'), has_schema_privilege(oid, 'USAGE WITH GRANT OPTION')
FROM pg_namespace WHERE nspname = %s
"""
# Of tables that the role of the run may grant: those of its own, for a superuser all of them.
_UNREADABLE = """
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND pg_has_role(c.relowner, 'USAGE') AND NOT has_table_privilege(%s, c.oid, 'SELECT')
ORDER BY c.relname
"""
_READS_LATER = """
SELECT FROM pg_default_acl AS d JOIN pg_namespace AS n ON n.oid = d.defaclnamespace,
    aclexplode(d.defaclacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee
WHERE n.nspname = %s AND d.defaclobjtype = 'r' AND a.privilege_type = 'SELECT' AND r.rolname = %s
"""


class ReadOnlyRoleOptions(StepModel):
    name: str
    schemas: list[str]


class ReadOnlyRole(Step[ReadOnlyRoleOptions]):
    """Creates a role without LOGIN, and grants it what reading takes. Grant it to the login of the application.

    In each schema, it may read the tables and views that belong to the role that applies this step, and later ones.
    """

    uses = "read_only_role"
    pure = True
    leaves_others_alone = True  # it never gives a later step more to do
    borrows_session = False  # every name that it asks for is in pg_catalog

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """Returns the role and the privileges that are missing, each with its statement."""
        return list(self._missing(context))

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        for item in changes:
            if isinstance(item, Deferred):
                raise StepFailedError(
                    f"needs {item.needs}: {item.reason}", hint="Let a role that may do so provide it beforehand."
                )
            assert isinstance(item.payload, sql.Composed)
            context.connection.execute(item.payload)

    def _missing(self, context: Context) -> Iterator[Change | Deferred]:
        name = self.options.name
        [(exists, may_create, database)] = context.connection.execute(_ROLES, (name,)).fetchall()
        if not exists and not may_create:
            yield Deferred(f"role {name}", "it does not exist, and the role of the run lacks CREATEROLE")
            return
        if not exists:
            statement = sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name))
            yield Change.create(f"role {name}", reason="does not exist", payload=statement)
        holder = name if exists else "public"  # a new role may do what everyone may
        [(may_connect, may_grant)] = context.connection.execute(_MAY_CONNECT, (holder,)).fetchall()
        if not may_connect:
            what = f"CONNECT on database {database}"
            yield self._grant("GRANT CONNECT ON DATABASE {object} TO {role}", what, database, may=may_grant)
        for schema in self.options.schemas:
            yield from self._missing_in(context, schema, holder)

    def _missing_in(self, context: Context, schema: str, holder: str) -> Iterator[Change | Deferred]:
        may_use = context.connection.execute(_MAY_USE, (holder, schema)).fetchone()
        if may_use is None:
            yield Deferred(f"schema {schema}", "it does not exist")
            return
        if not may_use[0]:
            what = f"USAGE on schema {schema}"
            yield self._grant("GRANT USAGE ON SCHEMA {object} TO {role}", what, schema, may=may_use[1])
        for (table,) in context.connection.execute(_UNREADABLE, (schema, holder)).fetchall():
            yield self._grant("GRANT SELECT ON {object} TO {role}", f"SELECT on {schema}.{table}", schema, table)
        if context.connection.execute(_READS_LATER, (schema, self.options.name)).fetchone() is None:
            statement = "ALTER DEFAULT PRIVILEGES IN SCHEMA {object} GRANT SELECT ON TABLES TO {role}"
            yield self._grant(statement, f"SELECT on later tables of schema {schema}", schema)

    def _grant(self, statement: str, what: str, *names: str, may: bool = True) -> Change | Deferred:
        role = sql.Identifier(self.options.name)
        granted = sql.SQL(statement).format(object=sql.Identifier(*names), role=role)
        if not may:
            return Deferred(what, f"the role of the run may not grant it; its owner runs: {granted.as_string()}")
        return Change.run(f"grant {what} to {self.options.name}", reason="not granted", payload=granted)


@hookimpl
def bootstrapper_steps() -> list[type[Step]]:
    return [ReadOnlyRole]
