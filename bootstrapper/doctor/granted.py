"""Asks the server which privileges the role has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import Connection

from bootstrapper.doctor.needs import Need

# By names in the catalogues, which every role may read. NULL for what does not exist: the functions are strict.
_GRANTED = """
SELECT n.position::int, pg_catalog.bool_or(CASE n.kind
    WHEN 'database' THEN pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), n.privilege)
    WHEN 'schema' THEN pg_catalog.has_schema_privilege(r.oid, s.oid, n.privilege)
    WHEN 'table' THEN pg_catalog.has_table_privilege(r.oid, c.oid, n.privilege)
    WHEN 'column' THEN pg_catalog.has_column_privilege(r.oid, c.oid, a.attnum, n.privilege)
    WHEN 'sequence' THEN pg_catalog.has_sequence_privilege(r.oid, c.oid, n.privilege)
    WHEN 'role' THEN pg_catalog.pg_has_role(r.oid, m.oid, 'USAGE')
    WHEN 'attribute' THEN r.rolsuper OR r.rolcreatedb
END)
FROM ROWS FROM (
    pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[]),
    pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::boolean[])
) WITH ORDINALITY AS n (kind, schema, name, col, privilege, by_member, position)
JOIN pg_catalog.pg_roles AS r
    ON r.rolname = current_user OR n.by_member AND pg_catalog.pg_has_role(r.oid, 'MEMBER')
LEFT JOIN pg_catalog.pg_namespace AS s ON s.nspname = n.schema
LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = s.oid AND c.relname = n.name
    AND (n.kind = 'sequence') = (c.relkind = 'S')
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = n.col AND a.attnum > 0
LEFT JOIN pg_catalog.pg_roles AS m ON n.kind = 'role' AND m.rolname = n.name
GROUP BY n.position
"""


def granted(connection: Connection[Any], needs: Sequence[Need]) -> Mapping[Need, bool | None]:
    """Returns whether the role has each privilege; None if the object does not exist. One round trip."""
    things = [need.thing for need in needs]
    columns = (
        [thing.kind.value for thing in things],
        [thing.schema for thing in things],
        [thing.name for thing in things],
        [thing.column for thing in things],
        [need.privilege for need in needs],
        [need.by_member for need in needs],
    )
    rows = connection.execute(_GRANTED.encode(), columns).fetchall()
    return {needs[position - 1]: has for position, has in rows}
