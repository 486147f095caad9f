"""Reads sizes and constraints of tables from the server, and which other objects exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, Self

from psycopg import Connection

from bootstrapper.config.units import show_size
from bootstrapper.dataclass import dataclass
from bootstrapper.migrations.linting.known import Known, Relation
from bootstrapper.postgres.connection.relations import locate
from bootstrapper.postgres.connection.settings import ask_lent
from bootstrapper.text import one_line

# Reading a size requires no privilege, but briefly an ACCESS SHARE lock. The size of a partitioned table is that of all
# tables that inherit from it.
_ASK = """
SELECT wanted.position, n.nspname, t.relname, size.total, size.heap, size.rows,
    ARRAY(
        SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = t.oid AND a.attnotnull AND NOT a.attisdropped AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_constraint AS k
            WHERE k.conrelid = t.oid AND k.contype = 'n' AND NOT k.convalidated AND k.conkey[1] = a.attnum
        )
    ),
    ARRAY(
        SELECT ARRAY[k.conname::text, a.attname::text, k.convalidated::text] FROM pg_catalog.pg_constraint AS k
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.conkey[1]
        WHERE k.conrelid = t.oid AND (k.contype = 'n' OR k.contype = 'c' AND starts_with(
            pg_catalog.pg_get_constraintdef(k.oid),
            pg_catalog.format('CHECK ((%%I IS NOT NULL))', a.attname)
        ))
    )
FROM unnest(%(positions)s::bigint[], %(oids)s::oid[]) AS wanted (position, oid)
JOIN pg_catalog.pg_class AS c ON c.oid = wanted.oid
LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
JOIN pg_catalog.pg_class AS t ON t.oid = coalesce(i.indrelid, c.oid)
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
CROSS JOIN LATERAL (
    WITH RECURSIVE tree (oid) AS (
        SELECT t.oid UNION SELECT h.inhrelid FROM pg_catalog.pg_inherits AS h JOIN tree ON tree.oid = h.inhparent
    )
    SELECT coalesce(sum(pg_catalog.pg_total_relation_size(m.oid)), 0)::bigint AS total,
        coalesce(sum(pg_catalog.pg_relation_size(m.oid)), 0)::bigint AS heap,
        coalesce(sum(greatest(m.reltuples, 0)) FILTER (WHERE m.relkind <> 'p'), 0)::bigint AS rows
    FROM tree JOIN pg_catalog.pg_class AS m ON m.oid = tree.oid
) AS size
"""

_OBJECTS = """
SELECT o.kind, o.schema, o.name, o.is_visible FROM (
    SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' END, n.nspname, c.relname,
        pg_catalog.pg_table_is_visible(c.oid)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    UNION ALL
    SELECT 'type', n.nspname, t.typname, pg_catalog.pg_type_is_visible(t.oid)
    FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
    UNION ALL
    SELECT 'collation', n.nspname, l.collname, pg_catalog.pg_collation_is_visible(l.oid)
    FROM pg_catalog.pg_collation AS l JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) l.collnamespace
    UNION ALL SELECT 'schema', NULL, nspname, true FROM pg_catalog.pg_namespace
    UNION ALL SELECT 'extension', NULL, extname, true FROM pg_catalog.pg_extension
    UNION ALL SELECT 'server', NULL, srvname, true FROM pg_catalog.pg_foreign_server
    UNION ALL SELECT 'database', NULL, datname, true FROM pg_catalog.pg_database
    UNION ALL SELECT 'role', NULL, rolname, true FROM pg_catalog.pg_roles
) AS o (kind, schema, name, is_visible)
WHERE o.name OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.name[])
"""
_KINDS = {"domain": "type"}  # DROP TYPE takes domains as well


@dataclass(frozen=True)
class Table:
    """A table on the server; `rows` is the server's estimate, 0 without one. Without a server it is only assumed."""

    schema: str
    name: str
    total_bytes: int
    heap_bytes: int
    rows: int
    not_null: tuple[str, ...] = ()
    checks: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)
    is_assumed: bool = False

    @classmethod
    def assumed(cls, relation: Relation) -> Self:
        """Returns a table that was not looked at: it counts as one with rows."""
        return cls(relation.schema or "", relation.name, 0, 1, 0, is_assumed=True)

    @property
    def is_empty(self) -> bool:
        """Whether it has no rows for certain: the estimate may be outdated."""
        return self.heap_bytes == 0

    @property
    def size(self) -> str:
        """Words the size, such as `about 1.2 million rows, 340 MB`."""
        if self.is_empty:
            return "empty"
        noun = "row" if self.rows == 1 else "rows"
        rows = f"about {_rounded(self.rows)} {noun}" if self.rows else "row count unknown"
        return f"{rows}, {show_size(self.total_bytes)}"


def ask(connection: Connection[Any], relations: Iterable[Relation]) -> dict[Relation, Table]:
    """Returns the tables among the relations that exist."""
    wanted = [relation for relation in dict.fromkeys(relations) if relation.has_rows]
    if not wanted:
        return {}
    found = locate(connection, [(item.schema, item.name) for item in wanted])
    rows = connection.execute(_ASK, {"positions": list(found), "oids": list(found.values())}).fetchall()
    return {wanted[row[0]]: _table(row) for row in rows}


def objects(connection: Connection[Any], relations: Iterable[Relation]) -> set[Relation]:
    """Returns the relations without rows that exist; does not query the server if there are none."""
    wanted = [relation for relation in dict.fromkeys(relations) if not relation.has_rows]
    if not wanted:
        return set()
    there: set[tuple[str, str | None, str]] = set()
    found = ask_lent(connection, _OBJECTS, ([item.name for item in wanted],))
    for kind, schema, name, is_visible in found:
        there |= {(kind, schema, name), *([(kind, None, name)] if is_visible else [])}
    return {
        item for item in wanted if ("type" if item.kind == "domain" else item.kind, item.schema, item.name) in there
    }


def sized(relation: Relation, table: Table | None) -> str:
    """Words name and size, such as `users (about 1.2 million rows, 340 MB)`; only the name if the size is unknown."""
    if table is None or table.is_assumed:
        return str(relation)
    name = one_line(table.name) if relation.kind == "index" else str(relation)
    return f"{name} ({table.size})"


def known(tables: Mapping[Relation, Table]) -> Known:
    """What need not be checked again."""
    result = Known()
    for relation, table in tables.items():
        result.proven |= {(relation, column) for column in table.not_null}
        for constraint, column, is_validated in table.checks:
            if is_validated == "true":
                result.proven.add((relation, column))
            else:
                result.checks[relation, constraint] = column
    return result


def _table(row: tuple[Any, ...]) -> Table:
    _, schema, name, total, heap, rows, not_null, checks = row
    return Table(schema, name, total, heap, rows, tuple(not_null), tuple(tuple(check) for check in checks))


def _rounded(number: int) -> str:
    """`1.2 million`, `45,000`."""
    for size, word in ((1_000_000_000, "billion"), (1_000_000, "million")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return f"{round(number, -3) if number >= 10_000 else number:,}"
