"""What has to go before a dump is read into a database that stays: everything of the role's, the ledger aside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from psycopg import Connection, sql

from bootstrapper.postgres.ledger import DEFAULT_SCHEMA, TABLES, LedgerNames

# Partitions are locked with their table. Who may not delete from a table may not drop it either.
_LOCKABLE = """
SELECT pg_catalog.format('LOCK TABLE ONLY %%I.%%I IN SHARE ROW EXCLUSIVE MODE', n.nspname, c.relname)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^(pg_|information_schema$)'
  AND NOT (n.nspname = %(schema)s AND c.relname = ANY (%(tables)s))
  AND pg_catalog.has_table_privilege(c.oid, 'DELETE') ORDER BY c.oid
"""
# The kinds of entries that tables make, as pg_restore lists them.
_KINDS = "TABLE|TABLE DATA|SEQUENCE|SEQUENCE SET|SEQUENCE OWNED BY|CONSTRAINT|FK CONSTRAINT|INDEX|DEFAULT|COMMENT|ACL"
_TOC = re.compile(r"\d+; \d+ \d+ (?P<about>.*)")


@dataclass(frozen=True)
class Contents:
    """What is in the database, as far as it is in the way.

    Attributes:
        locks: Statements that keep everybody from writing to tables.
        drops: Statements that remove it, in their order; what another one took along already is passed over.
        schemas: Those that stay.
        extensions: Those that are there, and stay.
        subscriptions: As those; no transaction could drop or make one that has a slot.
    """

    drops: tuple[str, ...]
    locks: tuple[str, ...]
    schemas: frozenset[str]
    extensions: frozenset[str]
    subscriptions: frozenset[str]


def contents(connection: Connection[Any], names: LedgerNames) -> Contents:
    """Looks by the catalogue; every name in the statements is qualified."""
    query = files("bootstrapper.backups.restore").joinpath("contents.sql").read_text(encoding="utf-8")
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
    """A statement that fails where the lock is not ours any more, and keeps the lock's row for its transaction."""
    statement = (
        "SELECT 1 / count(*) AS fence"
        " FROM (SELECT FROM {lock} WHERE run_id = {run_id} AND token = {token} FOR UPDATE) AS l"
    )
    return (
        sql.SQL(statement)
        .format(lock=names.table("lock"), run_id=sql.Literal(run_id), token=sql.Literal(token))
        .as_string(None)
    )


def wanted_entries(listing: str, names: LedgerNames, there: Contents) -> str:
    """The table of contents that `pg_restore --list` printed, without the ledger and without what stays anyway."""
    return "".join(f"{line}\n" for line in listing.splitlines() if not _is_left_out(line, names, there))


def _is_left_out(line: str, names: LedgerNames, there: Contents) -> bool:
    entry = _TOC.fullmatch(line)
    if entry is None:
        return False
    about = entry["about"].rpartition(" ")[0]  # without the owner
    if any(about in (f"SCHEMA - {name}", f"COMMENT - SCHEMA {name}") for name in there.schemas - {"public"}):
        return True
    if any(about in (f"EXTENSION - {name}", f"COMMENT - EXTENSION {name}") for name in there.extensions):
        return True
    if any(about in (f"SUBSCRIPTION - {name}", f"COMMENT - SUBSCRIPTION {name}") for name in there.subscriptions):
        return True
    return _is_of_ledger(about, names)


def _is_of_ledger(about: str, names: LedgerNames) -> bool:
    schema = re.escape(names.schema)
    if names.schema == DEFAULT_SCHEMA:
        return bool(re.fullmatch(rf"((SCHEMA|ACL|COMMENT) - (SCHEMA )?{schema}|({_KINDS}) {schema} .*)", about))
    tables = "|".join(re.escape(names.table_name(name)) for name in TABLES)
    whole = rf"({_KINDS}) {schema} (TABLE |COLUMN )?({tables})(\.\S+)?"
    part = rf"(CONSTRAINT|FK CONSTRAINT|DEFAULT|COMMENT) {schema} (CONSTRAINT )?({tables}) .*"
    made = rf"({_KINDS}) {schema} (SEQUENCE |INDEX )?({tables})_\w+_(seq|idx|key|pkey)"
    return any(re.fullmatch(pattern, about) for pattern in (whole, part, made))


def joined(statements: Sequence[str]) -> str:
    return "".join(f"{statement};\n" for statement in statements)
