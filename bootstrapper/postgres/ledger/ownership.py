"""Whether the ledger is ours: what others own, or act on, would run their code with our rights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection, sql

from bootstrapper.errors import RefusedError
from bootstrapper.postgres.ledger.ledger import TABLES, LedgerNames

# The server takes a superuser for a member of every role, so memberships are followed one by one. The owner of the
# database is trusted as long as its rights are not less than ours.
_HAS_CODE = """
    c.relkind NOT IN ('r', 'p') OR c.relhasrules OR c.relrowsecurity OR c.relhastriggers AND EXISTS (
        SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
"""
_FOREIGN = """
WITH RECURSIVE ours (oid) AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user
    UNION SELECT m.roleid FROM pg_catalog.pg_auth_members AS m JOIN ours ON m.member = ours.oid
), trusted (oid) AS (
    SELECT oid FROM ours
    UNION SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper
    UNION SELECT d.datdba FROM pg_catalog.pg_roles AS r, pg_catalog.pg_database AS d
    WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user AND NOT r.rolsuper
), parts (kind, name, owner, has_code) AS (
    SELECT 'schema', pg_catalog.quote_ident(n.nspname),
        CASE pg_catalog.pg_get_userbyid(n.nspowner) WHEN 'pg_database_owner' THEN d.datdba ELSE n.nspowner END, false
    FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
    WHERE n.nspname = {schema}
    UNION ALL
    SELECT 'table', pg_catalog.format('%I.%I', n.nspname, c.relname), c.relowner, {has_code}
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = {schema} AND c.relname = ANY ({tables}) AND c.relkind <> 'i'
)
SELECT kind, name, pg_catalog.pg_get_userbyid(owner)::text, current_user::text, has_code FROM parts
WHERE has_code OR owner NOT IN (SELECT oid FROM trusted)
    AND ({writes} OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user))
ORDER BY has_code, kind, name LIMIT 1
"""
# A new session spends a millisecond on planning the question above. Where owners do not matter, this one is cheaper.
_WITH_CODE = """
SELECT 'table', pg_catalog.format('%I.%I', {schema}, c.relname), NULL, NULL, true FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = {schema})
    AND c.relname = ANY ({tables}::name[]) AND c.relkind <> 'i' AND ({has_code}) LIMIT 1
"""


def question(connection: Connection[Any], names: LedgerNames, *, writes: bool = False) -> bytes:
    """Asks for one part of the ledger that is not ours alone; no row where there is none.

    The owner of a table may put code on it at any moment. From a role that only reads, and is not a superuser, that
    code would gain little: such a role may read a ledger that another role granted to it.
    """
    owners_matter = writes or connection.info.parameter_status("is_superuser") != "off"
    tables = [names.table_name(name) for name in TABLES]
    question = sql.SQL(_FOREIGN if owners_matter else _WITH_CODE)
    composed = question.format(schema=names.schema, tables=tables, has_code=sql.SQL(_HAS_CODE), writes=writes)
    return composed.as_bytes(connection)


def judge(found: Sequence[Sequence[Any]], where: str) -> None:
    """Raises RefusedError if a part of the ledger belongs to a role that we are not a member of, or runs code."""
    if not found:
        return
    kind, name, owner, us, has_code = found[0]
    if has_code:
        raise RefusedError(
            where,
            f"table {name} of the ledger has triggers, rules or policies, or is a view",
            hint="Find out who added them, and remove them: they would run with the rights of this role.",
        )
    handing_over = f"ALTER {kind.upper()} {name} OWNER TO {sql.Identifier(us).as_string()}"
    raise RefusedError(
        where,
        f"{kind} {name} of the ledger belongs to role {owner!r}, not to {us!r}",
        hint=f"If that role may be trusted, log in as it, or hand the {kind} over ({handing_over})."
        f" If not, drop the {kind}, or name another schema (ledger: {{schema: NAME}}).",
    )


def require_ours(connection: Connection[Any], names: LedgerNames, where: str) -> None:
    """As `judge`, before we write to the ledger; the search_path is ours."""
    judge(connection.execute(question(connection, names, writes=True)).fetchall(), where)
