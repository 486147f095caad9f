"""Rights to read the ledger and to break the lock."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, errors, sql

from bootstrapper.errors import RefusedError
from bootstrapper.postgres.connection.server_messages import said
from bootstrapper.postgres.ledger.ledger import UNREADABLE, LedgerNames
from bootstrapper.postgres.ledger.table_names import TABLES

_LOOK = "SELECT FROM {lock}, {runs}, {steps}, {meta} LIMIT 0"
_MAY_BREAK = """
SELECT pg_catalog.bool_and(pg_catalog.has_table_privilege(c.oid, 'UPDATE'))
FROM pg_catalog.unnest(%s::pg_catalog.text[]) AS t(name)
JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(t.name)
"""
_MAY_GRANT = """
SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE n.nspname OPERATOR(pg_catalog.=) %s::pg_catalog.name AND c.relname OPERATOR(pg_catalog.=) %s::pg_catalog.name
"""
_MAY_READ = """
SELECT pg_catalog.has_schema_privilege(r.rolname, %s, 'USAGE')
   AND pg_catalog.bool_and(pg_catalog.has_table_privilege(r.rolname, t.name, 'SELECT'))
FROM pg_catalog.pg_roles AS r CROSS JOIN pg_catalog.unnest(%s::pg_catalog.text[]) AS t(name)
WHERE r.rolname OPERATOR(pg_catalog.=) %s::pg_catalog.name GROUP BY r.rolname
"""


def refusal(connection: Connection[Any], names: LedgerNames, where: str) -> RefusedError | None:
    """Why the role may not read the ledger; None if it may, or where there is no ledger. Inside a look."""
    try:
        with connection.transaction():
            connection.execute(names.fill(_LOOK))
    except errors.InsufficientPrivilege as error:
        role = connection.info.user
        return RefusedError(
            where,
            f"role {role} may not read the ledger: {said(error)}",
            sqlstate=error.sqlstate,
            hint=f"Name it in the file, `ledger: {{grant_to: [{role}]}}`; the next run that writes grants it.",
        )
    except UNREADABLE:
        return None
    return None


def require(connection: Connection[Any], names: LedgerNames, where: str) -> None:
    """Raises RefusedError if there is a ledger that the role may not read."""
    refused = refusal(connection, names, where)
    if refused is not None:
        raise refused


def require_breaking(connection: Connection[Any], names: LedgerNames, where: str) -> None:
    """Raises RefusedError if the role may not take the lock away: before the first backend is ended."""
    require(connection, names, where)
    row = connection.execute(_MAY_BREAK, ([names.table(name).as_string() for name in ("lock", "runs")],)).fetchone()
    if row is not None and row[0] is False:
        told = f"role {connection.info.user} may read the ledger, but not break the lock"
        raise RefusedError(where, told, hint="Break it as a role that may write the ledger.")


def grant(connection: Connection[Any], names: LedgerNames) -> list[str]:
    """Lets the roles that the file names read the ledger, where this one may grant that and they cannot yet.

    Returns those that do not exist: a step of this run may create them.
    """
    if not names.grant_to:
        return []
    row = connection.execute(_MAY_GRANT, (names.schema, names.table_name("lock"))).fetchone()
    if row is None or not row[0]:
        return []
    tables = [names.table(name).as_string() for name in TABLES]
    missing = []
    for role in names.grant_to:
        found = connection.execute(_MAY_READ, (names.schema, tables, role)).fetchone()
        if found is None and role != "public":
            missing.append(role)
        elif found is None or not found[0]:
            _grant(connection, names, role)
    return missing


def _grant(connection: Connection[Any], names: LedgerNames, role: str) -> None:
    tables = sql.SQL(", ").join(names.table(name) for name in TABLES)
    to = sql.SQL("PUBLIC") if role == "public" else sql.Identifier(role)
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(names.schema_identifier, to))
    connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(tables, to))
