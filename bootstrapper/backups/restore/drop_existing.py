"""Finds what an in-place restore drops (all objects but the ledger), and what it restores from the archive."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from psycopg import Connection, sql

from bootstrapper.backups.restore.archive_toc import Entry
from bootstrapper.dataclass import dataclass
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.table_names import DEFAULT_SCHEMA, TABLES

# Partitions are locked with their table. A role that may not delete from a table may not drop it either.
_LOCKABLE = """
SELECT pg_catalog.format('LOCK TABLE ONLY %%I.%%I IN SHARE ROW EXCLUSIVE MODE', n.nspname, c.relname)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^(pg_|information_schema$)'
  AND NOT (n.nspname = %(schema)s AND c.relname = ANY (%(tables)s))
  AND pg_catalog.has_table_privilege(c.oid, 'DELETE') ORDER BY c.oid
"""
_REMARKS = frozenset({"COMMENT", "SECURITY LABEL"})
# Entries that are part of a table.
_PARTS = _REMARKS | {
    *("TABLE DATA", "SEQUENCE", "SEQUENCE SET", "SEQUENCE OWNED BY", "CONSTRAINT", "CHECK CONSTRAINT"),
    *("FK CONSTRAINT", "INDEX", "INDEX ATTACH", "TABLE ATTACH", "DEFAULT", "ACL", "TRIGGER", "RULE", "POLICY"),
    *("ROW SECURITY", "STATISTICS", "STATISTICS DATA"),
}


@dataclass(frozen=True)
class Contents:
    """The existing objects, and the statements that lock and drop them.

    Attributes:
        locks: Statements that block writers.
        drops: Statements that drop the objects, in order; they skip what CASCADE has dropped.
        schemas: Schemas that stay.
        extensions: Extensions that stay.
        subscriptions: Subscriptions that stay: one with a slot cannot be dropped or created in a transaction.
    """

    drops: tuple[str, ...]
    locks: tuple[str, ...]
    schemas: frozenset[str]
    extensions: frozenset[str]
    subscriptions: frozenset[str]


def contents(connection: Connection[Any], names: LedgerNames) -> Contents:
    """Reads the catalog; every name in the statements is qualified."""
    query = files("bootstrapper.backups.restore").joinpath("drop_existing.sql").read_text(encoding="utf-8")
    ledger = [names.table_name(name) for name in TABLES]
    with connection.transaction():
        connection.execute("SELECT pg_catalog.set_config('search_path', '', true)")
        values = {"schema": names.schema, "tables": ledger, "is_own": names.schema == DEFAULT_SCHEMA}
        rows = connection.execute(query.encode(), values).fetchall()
        tables = connection.execute(_LOCKABLE, values).fetchall()
    found: dict[str, list[str]] = {"drop": [], "schema": [], "extension": [], "subscription": []}
    for kind, text in rows:
        found[kind].append(text)
    locks = tuple(statement for (statement,) in tables)
    stays = (frozenset(found[kind]) for kind in ("schema", "extension", "subscription"))
    return Contents(tuple(found["drop"]), locks, *stays)


def fence(names: LedgerNames, run_id: str, token: int) -> str:
    """Returns a statement that fails if the lock was lost, and locks the lock's row for its transaction."""
    statement = (
        "SELECT 1 / count(*) AS fence"
        " FROM (SELECT FROM {lock} WHERE run_id = {run_id} AND token = {token} FOR UPDATE) AS l"
    )
    return (
        sql.SQL(statement)
        .format(lock=names.table("lock"), run_id=sql.Literal(run_id), token=sql.Literal(token))
        .as_string(None)
    )


def wanted(entries: Sequence[Entry], names: LedgerNames, there: Contents) -> list[Entry]:
    """Returns the entries to restore, in the same order: all but the ledger and objects that stay."""
    left_out: set[int] = set()
    schemas = {entry.number for entry in entries if entry.kind == "SCHEMA"}
    for entry in entries:
        whole = set(entry.needs) - (schemas if entry.schema is not None else set())  # apart from its own schema
        is_part = bool(whole) and whole <= left_out
        if _stays(entry, names, there) or _is_of_ledger(entry, names) or (is_part and _is_left_with(entry, names)):
            left_out.add(entry.number)
    return [entry for entry in entries if entry.number not in left_out]


def _stays(entry: Entry, names: LedgerNames, there: Contents) -> bool:
    """Returns whether it is a database-wide object that exists and is not dropped."""
    match entry.kind:
        case "SCHEMA":
            return entry.name in there.schemas - {"public"} or entry.name == names.schema == DEFAULT_SCHEMA
        case "EXTENSION":
            return entry.name in there.extensions
        case "SUBSCRIPTION":
            return entry.name in there.subscriptions
    return False


def _is_of_ledger(entry: Entry, names: LedgerNames) -> bool:
    if entry.schema != names.schema or entry.kind == "DEFAULT ACL":  # which are dropped there as well
        return False
    return names.schema == DEFAULT_SCHEMA or (
        entry.kind == "TABLE" and entry.name in {names.table_name(name) for name in TABLES}
    )


def _is_left_with(entry: Entry, names: LedgerNames) -> bool:
    """Returns whether it is left out with the object that it belongs to.

    Grants on a schema that stays are restored, but not those on the ledger's schema.
    """
    if entry.schema is None:
        is_acl_of_ledger = entry.kind == "ACL" and entry.name == f"SCHEMA {names.schema}"
        return entry.kind in _REMARKS or (is_acl_of_ledger and names.schema == DEFAULT_SCHEMA)
    return entry.kind in _PARTS


def joined(statements: Sequence[str]) -> str:
    return "".join(f"{statement};\n" for statement in statements)
