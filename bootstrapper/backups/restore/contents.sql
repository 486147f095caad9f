-- What is in this database, in rows of kind and text: `drop` is a statement, `schema` and `extension` name what stays.
-- A schema that we may drop goes whole. One that holds an extension or the ledger, that is not ours, or that every
-- database has, stays and is emptied. The caller sets an empty search_path, so that every name is qualified.
WITH schemas AS (
    SELECT n.oid, n.nspname,
           n.nspname = 'public'
           OR NOT pg_catalog.pg_has_role(n.nspowner, 'USAGE')
           OR (n.nspname = %(schema)s AND NOT %(is_own)s)
           OR EXISTS (SELECT FROM pg_catalog.pg_extension AS e WHERE e.extnamespace = n.oid) AS stays
    FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT (n.nspname = %(schema)s AND %(is_own)s)
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_depend AS d
          WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.objid = n.oid AND d.deptype = 'e')
), ledger AS (
    SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s)
), single AS (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d JOIN schemas AS s ON s.oid = d.refobjid AND s.stays
    WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.deptype = 'n'
      AND d.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass
    UNION ALL
    SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, oid FROM pg_catalog.pg_event_trigger
    UNION ALL
    SELECT 'pg_catalog.pg_publication'::pg_catalog.regclass, oid FROM pg_catalog.pg_publication
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, oid FROM pg_catalog.pg_foreign_server
    UNION ALL
    SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, oid FROM pg_catalog.pg_cast WHERE oid >= 16384
), droppable AS (
    SELECT i.type, i.identity, o.classid, o.objid
    FROM single AS o CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) AS i
    WHERE NOT EXISTS (
        -- What belongs to an extension stays, what belongs to another object goes with that.
        SELECT FROM pg_catalog.pg_depend AS d
        WHERE d.classid = o.classid AND d.objid = o.objid AND (d.deptype IN ('e', 'i')
              OR (d.deptype = 'a' AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)))
      AND NOT (o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.objid IN (SELECT oid FROM ledger))
)
SELECT kind, text FROM (
    SELECT 0, 'drop', pg_catalog.format('DROP SCHEMA IF EXISTS %%I CASCADE', nspname) FROM schemas WHERE NOT stays
    UNION ALL
    SELECT 1, 'drop', pg_catalog.format('DROP %%s IF EXISTS %%s CASCADE',
        CASE type WHEN 'composite type' THEN 'TYPE' ELSE pg_catalog.upper(type) END, identity)
    FROM droppable
    UNION ALL
    SELECT 2, 'drop', pg_catalog.format('SELECT pg_catalog.lo_unlink(%%s)', oid)
    FROM pg_catalog.pg_largeobject_metadata
    UNION ALL
    SELECT 3, 'schema', nspname::text FROM schemas WHERE stays
    UNION ALL
    SELECT 4, 'extension', extname::text FROM pg_catalog.pg_extension
) AS found (place, kind, text)
ORDER BY place, text
