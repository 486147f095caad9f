"""Finds relations by the names that the project gives them: along the search_path of its own sessions, not of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from bootstrapper.postgres.connection.settings import ask_lent

# Every role may read the catalogues; to_regclass would fail on a schema that the role may not use.
_LOCATE = """
SELECT w.position, c.oid::pg_catalog.int8
FROM ROWS FROM (
    pg_catalog.unnest(%s::pg_catalog.text[]), pg_catalog.unnest(%s::pg_catalog.text[])
) WITH ORDINALITY AS w (schema, name, position)
JOIN pg_catalog.pg_class AS c ON c.relname OPERATOR(pg_catalog.=) w.name
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE CASE WHEN w.schema IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
           ELSE n.nspname OPERATOR(pg_catalog.=) w.schema END
"""
_VISIBLE = """
SELECT c.oid::pg_catalog.int8 FROM pg_catalog.pg_class AS c
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,f}') AND pg_catalog.pg_table_is_visible(c.oid)
"""
_CURRENT = "SELECT pg_catalog.current_schema()"


def locate(connection: Connection[Any], names: Sequence[tuple[str | None, str]]) -> dict[int, int]:
    """Returns the oids of those that exist, by their place among the names; a schema of None stands for the path."""
    parameters = ([schema for schema, _ in names], [name for _, name in names])
    return {position - 1: oid for position, oid in ask_lent(connection, _LOCATE, parameters)}


def visible(connection: Connection[Any]) -> list[int]:
    """Returns the oids of all tables and views that need no schema before their names."""
    return [oid for (oid,) in ask_lent(connection, _VISIBLE)]


def current_schema(connection: Connection[Any]) -> str | None:
    """Returns the schema where the project's own sessions create tables; None if it does not exist."""
    row = ask_lent(connection, _CURRENT).fetchone()
    return row[0] if row else None
