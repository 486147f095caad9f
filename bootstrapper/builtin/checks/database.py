"""database: whether the database is still empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check, Probe
from bootstrapper.postgres.ledger.table_names import DEFAULT_SCHEMA
from bootstrapper.text import counted

# Row types and array types belong to what they are the type of. ts_stat is the one function of every server that runs a
# query given as text (query_to_xml needs a server built with libxml); so one statement can look into tables whose names
# only the catalogue knows. CASE keeps that to Alembic's version tables.
_STATEMENT = """
WITH objects AS (
    SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                          WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind,
           c.relnamespace AS namespace, c.relname AS name, 'pg_class'::regclass AS class, c.oid,
           c.relkind IN ('r', 'p') AND EXISTS (
               SELECT 1 FROM pg_catalog.pg_attribute AS a
               WHERE a.attrelid = c.oid AND a.attname = 'version_num'
                 AND (c.relnatts = 1 OR c.relname = 'alembic_version')) AS is_version_table
    FROM pg_catalog.pg_class AS c
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
    UNION ALL
    SELECT 'function', p.pronamespace, p.proname, 'pg_proc'::regclass, p.oid, false
    FROM pg_catalog.pg_proc AS p
    UNION ALL
    SELECT 'type', t.typnamespace, t.typname, 'pg_type'::regclass, t.oid, false
    FROM pg_catalog.pg_type AS t
    WHERE t.typtype IN ('b', 'd', 'e', 'r') AND t.typcategory <> 'A'
       OR EXISTS (SELECT 1 FROM pg_catalog.pg_class AS r WHERE r.oid = t.typrelid AND r.relkind = 'c')
), theirs AS (
    SELECT o.kind, n.nspname || '.' || o.name AS name
    FROM objects AS o JOIN pg_catalog.pg_namespace AS n ON n.oid = o.namespace
    WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%'
      AND NOT (n.nspname = %s AND pg_catalog.starts_with(o.name::text, %s))
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend AS d
                      WHERE d.classid = o.class AND d.objid = o.oid AND d.objsubid = 0 AND d.deptype = 'e')
      AND CASE
            WHEN NOT o.is_version_table THEN true
            WHEN NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                      AND pg_catalog.has_table_privilege(o.oid, 'SELECT')) THEN true
            ELSE EXISTS (SELECT 1 FROM pg_catalog.ts_stat(pg_catalog.format(
                'SELECT ''row''::pg_catalog.tsvector FROM %%I.%%I LIMIT 1', n.nspname, o.name)))
          END
)
SELECT count(*), (array_agg(kind || ' ' || name ORDER BY kind <> 'table', name))[1] FROM theirs
"""


class DatabaseCheck(Check[Literal["empty"]]):
    """`database: empty`: no tables, views, sequences, functions or types except those of the ledger and of extensions.

    A version table without rows, as a failed first migration leaves it, does not count either.
    """

    key = "database"
    pure = True

    def probe(self) -> Probe:
        ledger = self.project.ledger.schema
        prefix = "" if ledger == DEFAULT_SCHEMA else "bootstrapper_"
        return Probe(_STATEMENT, (ledger, prefix), borrows_session=False)

    def answer(self, rows: Sequence[Sequence[Any]]) -> Answer:
        count, first = rows[0]
        if not count:
            return Answer.yes("the database is empty")
        more = f" and {counted(count - 1, 'more object')}" if count > 1 else ""
        return Answer.no(f"the database has {first}{more}")
