"""Finds relations by the names that the project gives them: along the search_path of its own sessions, not of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection, Cursor

from bootstrapper.postgres.connection.pipelining import round_trip
from bootstrapper.postgres.connection.settings import LEND_PATH, TAKE_BACK, ask_lent

# Every role may read the catalogues; to_regclass would fail on a schema that the role may not use.
_LOCATED = """
FROM ROWS FROM (
    pg_catalog.unnest(%s::pg_catalog.text[]), pg_catalog.unnest(%s::pg_catalog.text[])
) WITH ORDINALITY AS w (schema, name, position)
JOIN pg_catalog.pg_class AS c ON c.relname OPERATOR(pg_catalog.=) w.name
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE CASE WHEN w.schema IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
           ELSE n.nspname OPERATOR(pg_catalog.=) w.schema END
"""
_LOCATE = f"SELECT w.position, c.oid::pg_catalog.int8 {_LOCATED}"
# A statement cannot refer to the result of another one in the same message, but to a setting.
_NOTE = f"""
SELECT pg_catalog.set_config('bootstrapper.located', coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
    'ordinal', w.position OPERATOR(pg_catalog.-) 1, 'oid', c.oid::pg_catalog.int8))::pg_catalog.text, '[]'), true)
{_LOCATED}"""
_VISIBLE = """
SELECT c.oid::pg_catalog.int8 FROM pg_catalog.pg_class AS c
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,f}') AND pg_catalog.pg_table_is_visible(c.oid)
"""
_CURRENT = "SELECT pg_catalog.current_schema()"


def locate(connection: Connection[Any], names: Sequence[tuple[str | None, str]]) -> dict[int, int]:
    """Returns the oids of those that exist, by their place among the names; a schema of None stands for the path."""
    parameters = ([schema for schema, _ in names], [name for _, name in names])
    return {position - 1: oid for position, oid in ask_lent(connection, _LOCATE, parameters)}


def ask_located(connection: Connection[Any], names: Sequence[tuple[str | None, str]], query: bytes) -> Cursor[Any]:
    """Asks about those that exist, in one round trip.

    The query finds them in the setting `bootstrapper.located`: a JSON list of objects with `oid`, and `ordinal`, the
    place among the names.
    """
    parameters = ([schema for schema, _ in names], [name for _, name in names])
    with round_trip(connection):
        connection.execute(LEND_PATH)
        connection.execute(_NOTE, parameters)
        connection.execute(TAKE_BACK)
        return connection.execute(query)


def visible(connection: Connection[Any]) -> list[int]:
    """Returns the oids of all tables and views that need no schema before their names."""
    return [oid for (oid,) in ask_lent(connection, _VISIBLE)]


def current_schema(connection: Connection[Any]) -> str | None:
    """Returns the schema where the project's own sessions create tables; None if it does not exist."""
    row = ask_lent(connection, _CURRENT).fetchone()
    return row[0] if row else None
