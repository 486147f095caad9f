"""Compares the schemas of two databases, object by object, and words the differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import zip_longest
from typing import Any, Literal

from psycopg import Connection

from bootstrapper.dataclass import dataclass
from bootstrapper.postgres.connection.settings import ask_lent
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.table_names import DEFAULT_SCHEMA

# Settings that affect how the server renders definitions; style and time zone affect constants in defaults.
_RENDERING = {
    "search_path": "",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "quote_all_identifiers": "off",
}
_RENDER = """
SELECT pg_catalog.set_config(s.name, s.value, true)
FROM unnest(%s::text[], %s::text[]) AS s (name, value)
"""

UNEXPECTED = ": not expected"
"""The end of a line about an object that only the compared database has."""
_ALONE = {"dropped": ": missing", "added": UNEXPECTED}

# Runs before search_path is emptied.
_FIND_VERSION_TABLE = """
SELECT c.oid FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.relname OPERATOR(pg_catalog.=) %(name)s AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}')
  AND CASE WHEN %(schema)s::pg_catalog.text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
           ELSE n.nspname OPERATOR(pg_catalog.=) %(schema)s END
"""

_OWNERS = ("table ", "foreign table ", "view ", "materialized view ", "domain ")
_QUALIFIED_BY_OWNER = ("column ", "constraint ", "trigger ", "rule ", "policy ")


def describe(
    connection: Connection[Any], ledger: LedgerNames, version_table: tuple[str | None, str]
) -> Mapping[str, str]:
    """Returns all user objects of the current database, as "kind schema.name" and definition.

    Leaves out system schemas, members of extensions, the ledger, the version table, temporary tables, schemas, casts,
    operators, publications and event triggers; and of the others comments, owners, privileges, storage parameters and
    the order of columns.

    Runs in a transaction of its own, or inside the caller's, which may be READ ONLY; restores the settings that it
    changes there.

    Args:
        version_table: Schema and name; without a schema, the one that search_path finds.
    """
    query = files("bootstrapper.migrations.schema").joinpath("schema.sql").read_bytes()
    prefix = "" if ledger.schema == DEFAULT_SCHEMA else "bootstrapper_"
    schema, name = version_table
    with connection.transaction(force_rollback=True):
        found = ask_lent(connection, _FIND_VERSION_TABLE, {"schema": schema, "name": name}).fetchone()
        connection.execute(_RENDER, (list(_RENDERING), list(_RENDERING.values())))
        parameters = {"ledger": ledger.schema, "prefix": prefix, "version_table": found[0] if found else None}
        return dict(connection.execute(query, parameters).fetchall())


@dataclass(frozen=True)
class Difference:
    """An object that one database has otherwise than the other, or alone.

    Attributes:
        kind: `dropped` if it is missing in the compared database, `added` if only that one has it, or `changed`.
        name: The kind of object and its name, as in `column public.users.age`.
        detail: How a changed one differs.
    """

    kind: Literal["dropped", "changed", "added"]
    name: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}" if self.detail else f"{self.name}{_ALONE[self.kind]}"

    def is_within(self, schemas: Sequence[str]) -> bool:
        """Whether it is not an object that was added in another schema than these, whose names are quoted as SQL."""
        return self.kind != "added" or any(f" {schema}." in f"{self.name}." for schema in schemas)


def differences(expected: Mapping[str, str], actual: Mapping[str, str]) -> list[str]:
    """Returns one line for each object that is missing, different or not expected, as `compare` finds them."""
    return [str(found) for found in compare(expected, actual)]


def compare(expected: Mapping[str, str], actual: Mapping[str, str]) -> list[Difference]:
    """Returns the objects that are missing, then those that differ, then those that are not expected.

    Objects that belong to a table that only one side has are left out.
    """
    found = [Difference("dropped", name) for name in _only_in(expected, actual)]
    found += [
        Difference("changed", name, _difference(definition, actual[name]))
        for name, definition in expected.items()
        if name in actual and definition != actual[name]
    ]
    return found + [Difference("added", name) for name in _only_in(actual, expected)]


def _only_in(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    only = [name for name in ours if name not in theirs]
    owners = [name.removeprefix(kind) for name in only for kind in _OWNERS if name.startswith(kind)]
    covered = {name for name in only if any(_belongs(name, ours[name], owner) for owner in owners)}
    return [name for name in only if name not in covered]


def _belongs(name: str, definition: str, owner: str) -> bool:
    """Whether an object belongs to the table, by its name or the server's rendering."""
    kind, _, rest = name.partition(" ")
    match kind:
        case "index":
            return f" {owner} USING " in definition
        case "statistics":
            return definition.endswith(f" FROM {owner}")
        case "sequence":
            return f" OWNED BY {owner}." in definition
    return name.startswith(_QUALIFIED_BY_OWNER) and rest.startswith(f"{owner}.")


def _difference(expected: str, actual: str) -> str:
    """Words the first line that differs: the body of a function is too long for a message."""
    pairs = list(zip_longest(expected.split("\n"), actual.split("\n"), fillvalue=""))
    number, (wanted, found) = next((at, pair) for at, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    place = f"line {number}: " if len(pairs) > 1 else ""
    if wanted.strip() == found.strip():
        return f"{place}expected {wanted!r}, is {found!r}"
    return f"{place}expected {wanted.strip() or 'nothing'}, is {found.strip() or 'nothing'}"
