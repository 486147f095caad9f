"""Snapshots of a whole database, for contracts that say what must be the same before and after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg import Connection, sql

from bootstrapper.engine.open import opened
from bootstrapper.engine.request import Request
from bootstrapper.migrations.schema.comparison import describe
from bootstrapper.postgres.ledger.ledger import LedgerNames

_TABLES = """
SELECT n.nspname, c.relname, n.nspname ~ '^bootstrapper$' OR c.relname ~ '^bootstrapper_'
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND c.relpersistence <> 't'
  AND n.nspname !~ '^(pg_|information_schema$)' ORDER BY 1, 2
"""
_OTHERS = r"""
SELECT 'extension ' || extname, extversion FROM pg_catalog.pg_extension
UNION ALL SELECT 'role ' || rolname, pg_catalog.concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolcanlogin)
    FROM pg_catalog.pg_roles
UNION ALL SELECT 'member ' || member::regrole || ' of ' || roleid::regrole, '' FROM pg_catalog.pg_auth_members
UNION ALL SELECT 'settings of ' || coalesce(setrole::regrole::text, ''), setconfig::text
    FROM pg_catalog.pg_db_role_setting
    WHERE setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
UNION ALL SELECT 'schema ' || nspname, pg_catalog.concat_ws(' ', nspowner::regrole, nspacl)
    FROM pg_catalog.pg_namespace WHERE nspname !~ '^(pg_|information_schema$|bootstrapper$)'
UNION ALL SELECT 'privileges and options of ' || c.oid::regclass, pg_catalog.concat_ws(
        ' ', c.relowner::regrole, c.relacl, c.reloptions, c.relrowsecurity, c.relforcerowsecurity, c.relreplident)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^(pg_|information_schema$|bootstrapper$)' AND c.relname !~ '^bootstrapper_'
UNION ALL SELECT 'privileges of ' || a.attrelid::regclass || '.' || a.attname, a.attacl::text
    FROM pg_catalog.pg_attribute AS a WHERE a.attacl IS NOT NULL AND a.attrelid >= 16384
UNION ALL SELECT 'privileges of ' || p.oid::regprocedure, pg_catalog.concat_ws(' ', p.proowner::regrole, p.proacl)
    FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname !~ '^(pg_|information_schema$)'
UNION ALL SELECT 'privileges of type ' || t.oid::regtype, pg_catalog.concat_ws(' ', t.typowner::regrole, t.typacl)
    FROM pg_catalog.pg_type AS t WHERE t.typacl IS NOT NULL AND t.oid >= 16384
UNION ALL SELECT pg_catalog.concat_ws(' ', 'default privileges', defaclrole::regrole, defaclobjtype, defaclnamespace),
        defaclacl::text FROM pg_catalog.pg_default_acl
UNION ALL SELECT 'privileges of the database', datacl::text
    FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
UNION ALL SELECT 'comment on ' || pg_catalog.pg_describe_object(classoid, objoid, objsubid), description
    FROM pg_catalog.pg_description WHERE objoid >= 16384
    AND pg_catalog.pg_describe_object(classoid, objoid, objsubid) !~ '\mbootstrapper([._]|$)'
UNION ALL SELECT 'comment on ' || CASE classoid WHEN 'pg_catalog.pg_database'::regclass THEN 'the database'
        ELSE pg_catalog.pg_describe_object(classoid, objoid, 0) END, description
    FROM pg_catalog.pg_shdescription
    WHERE classoid <> 'pg_catalog.pg_database'::regclass
       OR objoid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
UNION ALL SELECT 'options of ' || a.attrelid::regclass || '.' || a.attname, pg_catalog.concat_ws(
        ' ', a.attnum, a.attstattarget, a.attstorage, a.attcompression, a.attoptions, a.attfdwoptions)
    FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    WHERE a.attnum > 0 AND a.attrelid >= 16384 AND NOT a.attisdropped
      AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema$|bootstrapper$)'
      AND c.relname !~ '^bootstrapper_'
UNION ALL SELECT 'event trigger ' || evtname, pg_catalog.concat_ws(' ', evtevent, evtfoid::regproc, evtenabled)
    FROM pg_catalog.pg_event_trigger
UNION ALL SELECT 'publication ' || pubname, puballtables::text FROM pg_catalog.pg_publication
ORDER BY 1, 2
"""
# Catalogs of objects that are described above, with more than their row, or that the server fills by itself.
_DESCRIBED = [
    *("pg_attrdef", "pg_class", "pg_constraint", "pg_default_acl", "pg_enum", "pg_event_trigger", "pg_extension"),
    *(
        "pg_namespace",
        "pg_policy",
        "pg_proc",
        "pg_publication",
        "pg_rewrite",
        "pg_statistic_ext",
        "pg_trigger",
        "pg_type",
    ),
]
# Numbers of objects differ between databases: they are left out, and names stand for them.
_COLUMNS = """
SELECT c.relname, pg_catalog.array_agg(a.attname ORDER BY a.attnum)
           FILTER (WHERE a.attname <> 'oid' AND a.atttypid <> ALL ('{oid,oidvector,pg_node_tree}'::regtype[]))
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND NOT c.relisshared
  AND c.relname <> ALL (%s) AND NOT a.attisdropped AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
GROUP BY c.relname HAVING pg_catalog.bool_or(a.attname = 'oid') ORDER BY 1
"""
_OBJECTS = """
SELECT {} || ' ' || pg_catalog.pg_describe_object({}::regclass, oid, 0), pg_catalog.concat_ws(' ', {}) FROM {}
WHERE oid >= 16384
"""
_ROWS = "SELECT md5(coalesce(string_agg(md5(t::text), '' ORDER BY md5(t::text)), '')) FROM {}.{} AS t"
_VERSIONS = "SELECT md5(coalesce(string_agg(ctid::text || xmin::text, ',' ORDER BY ctid), '')) FROM {}.{}"
_CATALOGUES = """
SELECT 'pg_catalog', relname, false FROM pg_catalog.pg_class
WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND NOT relisshared
  AND relname !~ '^pg_statistic' AND pg_catalog.has_table_privilege(oid, 'SELECT') ORDER BY 2
"""
_COUNTED = """
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^(pg_|information_schema$|bootstrapper$)' AND c.relname !~ '^bootstrapper_'
"""
_COUNT = "SELECT count(*) FROM {}.{}"
_SEQUENCES = """
SELECT pg_catalog.format('sequence %I.%I', schemaname, sequencename), last_value::text FROM pg_catalog.pg_sequences
"""


def snapshot(connection: Connection[Any]) -> dict[str, str]:
    """Returns everything of a database that a step can change, by name, except the ledger and positions of sequences.

    Objects of every kind that PostgreSQL has, with their definitions, privileges, owners, options and comments; and
    digests of the rows of all tables. The same of two databases that were built alike. Holds no number of a
    transaction: what happens in other databases of the server does not change it, other than to roles.
    """
    found = dict(describe(connection, LedgerNames(), (None, "alembic_version")))
    found |= {name: definition or "" for name, definition in connection.execute(_OTHERS).fetchall()}
    for catalog, columns in connection.execute(_COLUMNS, (_DESCRIBED,)).fetchall():
        found |= _objects(connection, catalog, columns)
    tables = connection.execute(_TABLES).fetchall()
    for schema, table in [(schema, table) for schema, table, is_ledger in tables if not is_ledger]:
        found[f"rows of {schema}.{table}"] = _digest(connection, _ROWS, schema, table)
    return found


def versions(connection: Connection[Any]) -> dict[str, str]:
    """Returns a digest of the versions of all rows of this database, those of the catalogues and the ledger too.

    No transaction of another database changes it, nor autovacuum.
    """
    tables = [*connection.execute(_TABLES).fetchall(), *connection.execute(_CATALOGUES).fetchall()]
    found = {f"{schema}.{table}": _digest(connection, _VERSIONS, schema, table) for schema, table, _ in tables}
    return found | {name: value or "" for name, value in connection.execute(_SEQUENCES).fetchall()}


def row_counts(connection: Connection[Any]) -> dict[str, str]:
    """Returns the number of rows of each table, all partitions of one together, except those of the ledger."""
    tables = connection.execute(_COUNTED).fetchall()
    return {f"{schema}.{table}": _digest(connection, _COUNT, schema, table) for schema, table in tables}


def _objects(connection: Connection[Any], catalog: str, columns: list[str] | None) -> dict[str, str]:
    """Returns the objects of a catalog, such as casts, operators or foreign servers."""
    query = sql.SQL(_OBJECTS).format(
        sql.Literal(catalog.removeprefix("pg_")),
        sql.Literal(f"pg_catalog.{catalog.removesuffix('_metadata')}"),  # a large object is one of pg_largeobject
        sql.SQL(", ").join([sql.SQL("''"), *map(sql.Identifier, columns or [])]),
        sql.Identifier("pg_catalog", catalog),
    )
    return dict(connection.execute(query).fetchall())


def _digest(connection: Connection[Any], query: str, schema: str, table: str) -> str:
    row = connection.execute(sql.SQL(query).format(sql.Identifier(schema), sql.Identifier(table))).fetchone()
    return str(row[0]) if row else ""


def difference(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def look(request: Request, look: Callable[[Connection[Any]], dict[str, str]] = snapshot) -> dict[str, str]:
    with opened(request, "test", writes=True) as run, run.session.read_only() as connection:
        return look(connection)
