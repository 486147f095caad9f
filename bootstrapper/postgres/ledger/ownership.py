"""Whether the ledger is ours: what others own, or act on, would run their code with our rights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection, sql

from bootstrapper.errors import RefusedError
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.ownership_questions import FOREIGN, HAS_CODE, WITH_CODE
from bootstrapper.postgres.ledger.table_names import TABLES


def question(connection: Connection[Any], names: LedgerNames, *, writes: bool = False) -> bytes:
    """Asks for one part of the ledger that is not ours alone; no row where there is none.

    The owner of a table may put code on it at any moment. From a role that only reads, and is not a superuser, that
    code would gain little: such a role may read a ledger that another role granted to it.
    """
    owners_matter = writes or connection.info.parameter_status("is_superuser") != "off"
    tables = [names.table_name(name) for name in TABLES]
    question = sql.SQL(FOREIGN if owners_matter else WITH_CODE)
    composed = question.format(schema=names.schema, tables=tables, has_code=sql.SQL(HAS_CODE), writes=writes)
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
