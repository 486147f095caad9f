"""Asks the server for the size of tables, and for what it already knows of them, in one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection

from bootstrapper.migrations.linting.known import Known, Relation
from bootstrapper.units import show_size

# The catalogues may be read by anybody; to_regclass would fail on a schema that the role may not use. A size needs no
# privilege either, but for a moment an ACCESS SHARE lock. A partitioned table is as large as all that inherit from it.
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
FROM ROWS FROM (
    pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])
) WITH ORDINALITY AS wanted (schema, name, position)
JOIN pg_catalog.pg_class AS c ON c.relname = wanted.name
JOIN pg_catalog.pg_namespace AS cn ON cn.oid = c.relnamespace
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
WHERE CASE WHEN wanted.schema IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE cn.nspname = wanted.schema END
"""


@dataclass(frozen=True)
class Table:
    """A table as the server has it; `rows` is its estimate, 0 where it has none."""

    schema: str
    name: str
    total_bytes: int
    heap_bytes: int
    rows: int
    not_null: tuple[str, ...] = ()
    checks: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether it surely has no row: the estimate may be older than the rows."""
        return self.heap_bytes == 0

    @property
    def size(self) -> str:
        """`about 1.2 million rows, 340 MB`."""
        if self.is_empty:
            return "empty"
        noun = "row" if self.rows == 1 else "rows"
        rows = f"about {_rounded(self.rows)} {noun}" if self.rows else "rows never counted"
        return f"{rows}, {show_size(self.total_bytes)}"


def ask(connection: Connection[Any], relations: Iterable[Relation]) -> dict[Relation, Table]:
    """Those of the relations that are there; writes nothing."""
    wanted = [relation for relation in dict.fromkeys(relations) if relation.has_rows]
    if not wanted:
        return {}
    parameters = {"schemas": [item.schema for item in wanted], "names": [item.name for item in wanted]}
    rows = connection.execute(_ASK, parameters).fetchall()
    return {wanted[row[0] - 1]: _table(row) for row in rows}


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
