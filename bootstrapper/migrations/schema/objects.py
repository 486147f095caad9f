"""The objects of a database by kind and identity, which are the same in every database, and how many rows they hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from typing import Any

from psycopg import Connection

from bootstrapper.dataclass import dataclass

_MOST_COUNTED_BYTES = 64 * 1024 * 1024
# Rows are counted where that is quick and no policy hides any; else the statistics have to do.
_TABLES = """
SELECT c.oid::int8, pg_catalog.format('SELECT count(*) FROM ONLY %%s', c.oid::pg_catalog.regclass),
       CASE WHEN c.reltuples < 0 THEN pg_catalog.pg_stat_get_live_tuples(c.oid) ELSE c.reltuples END::int8,
       pg_catalog.pg_relation_size(c.oid) <= %s AND pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
       AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AND NOT pg_catalog.row_security_active(c.oid)
FROM pg_catalog.pg_class AS c WHERE c.oid = ANY (%s) AND c.relkind IN ('r', 'm')
"""
_IDENTITIES = """
SELECT pg_catalog.format('%%I.%%I', t.schema, t.name) FROM unnest(%s::text[], %s::text[]) AS t(schema, name)
"""


@dataclass(frozen=True)
class DatabaseObject:
    """An object that is created and dropped by itself.

    Attributes:
        catalogue: The oid of the system catalogue that holds it.
        kind: As the server names it, such as `table`; aggregates and procedures are kinds of their own.
        identity: Its qualified name, quoted as SQL where necessary, with the types of its arguments.
        drop: The statement that drops it.
    """

    catalogue: int
    oid: int
    kind: str
    identity: str
    drop: str

    @property
    def name(self) -> str:
        return f"{self.kind} {self.identity}"


def read_objects(connection: Connection[Any]) -> Sequence[DatabaseObject]:
    """Returns the objects of the current database by kind and identity, the ledger and the version table included."""
    query = files("bootstrapper.migrations.schema").joinpath("objects.sql").read_bytes()
    return [DatabaseObject(*row) for row in connection.execute(query)]


def identities(connection: Connection[Any], tables: Collection[tuple[str, str]]) -> frozenset[str]:
    """Returns tables, given by schema and name, as `read_objects` identifies them."""
    query = (
        "SELECT pg_catalog.format('%%I.%%I', t.schema, t.name) FROM unnest(%s::text[], %s::text[]) AS t(schema, name)"
    )
    schemas, names = [schema for schema, _ in tables], [name for _, name in tables]
    return frozenset(row[0] for row in connection.execute(query, (schemas, names)))


def quoted_name(connection: Connection[Any], name: str) -> str:
    """Returns the name of a schema as `read_objects` identifies it."""
    row = connection.execute("SELECT pg_catalog.quote_ident(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def row_counts(connection: Connection[Any], objects: Sequence[DatabaseObject]) -> Mapping[int, str]:
    """Returns by oid how many rows tables hold, in words; `about` says that it is an estimate of the server."""
    oids = [each.oid for each in objects if each.kind in ("table", "materialized view")]
    found = connection.execute(_TABLES, (_MOST_COUNTED_BYTES, oids)).fetchall()
    return {
        oid: _count(connection, query) if is_quick else _told(about, "about ") for oid, query, about, is_quick in found
    }


def _count(connection: Connection[Any], query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return _told(row[0])


def _told(number: int, how: str = "") -> str:
    return f"{how}{number:,} {'row' if number == 1 else 'rows'}"
