-- Invalid indexes and unvalidated constraints, one row each, those that only have to be dropped first.
-- Reads the catalogues only, so that no privilege on the tables is needed.
WITH members AS (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d WHERE d.deptype = 'e' AND d.objsubid = 0
),
tables AS (
    -- A TOAST table stands for the table that it belongs to.
    SELECT c.oid, pg_catalog.format('%%I.%%I', n.nspname, t.relname) AS name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_class AS t
      ON t.oid = CASE c.relkind WHEN 't' THEN (SELECT o.oid FROM pg_catalog.pg_class AS o WHERE o.reltoastrelid = c.oid)
                                ELSE c.oid END
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'f', 't') AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND NOT pg_catalog.starts_with(n.nspname::text, 'pg_')
      AND NOT (n.nspname = %(ledger)s AND pg_catalog.starts_with(t.relname::text, %(prefix)s))
      AND NOT EXISTS (SELECT 1 FROM members AS m
                      WHERE m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.objid = t.oid)
),
-- A build holds this lock on the table, a drop or rebuild also on the index. Locks and the pids
-- of the progress view are shown to every role; which index a pid works on is not.
busy AS (
    SELECT l.relation, l.pid IN (SELECT p.pid FROM pg_catalog.pg_stat_progress_create_index AS p) AS is_building
    FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
      AND l.mode IN ('ShareUpdateExclusiveLock', 'AccessExclusiveLock')
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
),
indexes AS (
    SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name, t.name AS "table",
           CASE WHEN c.relkind = 'I' THEN 'partitions'
                WHEN NOT i.indislive THEN 'drop'
                WHEN c.relname ~ '_cc(new|old)[0-9]*$' THEN 'reindex'
                ELSE 'build' END AS cause,
           -- One attached to its parent, or owned by a constraint, cannot be dropped by itself.
           NOT c.relispartition AND NOT EXISTS (
               SELECT 1 FROM pg_catalog.pg_constraint AS o
               WHERE o.conindid = c.oid AND o.contype IN ('p', 'u', 'x')) AS can_go
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN tables AS t ON t.oid = i.indrelid
    WHERE NOT (i.indisvalid AND i.indisready)
      AND NOT EXISTS (SELECT 1 FROM busy AS b
                      WHERE b.relation = i.indexrelid OR b.relation = i.indrelid AND b.is_building)
),
constraints AS (
    -- What is inherited is validated with its parent. Before PostgreSQL 18 every constraint is enforced; one that is not
    -- cannot be validated.
    SELECT coalesce(t.name, d.name) AS owner, o.conname, t.name AS "table"
    FROM pg_catalog.pg_constraint AS o
    LEFT JOIN tables AS t ON t.oid = o.conrelid
    LEFT JOIN (
        SELECT y.oid, pg_catalog.format('%%I.%%I', n.nspname, y.typname) AS name
        FROM pg_catalog.pg_type AS y
        JOIN pg_catalog.pg_namespace AS n ON n.oid = y.typnamespace
        WHERE y.typtype = 'd' AND n.nspname <> 'information_schema'
          AND NOT pg_catalog.starts_with(n.nspname::text, 'pg_')
          AND NOT EXISTS (SELECT 1 FROM members AS m
                          WHERE m.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND m.objid = y.oid)
    ) AS d ON d.oid = o.contypid
    WHERE NOT o.convalidated AND o.contype IN ('f', 'c', 'n') AND o.conparentid = 0 AND o.coninhcount = 0
      AND coalesce((pg_catalog.to_jsonb(o) ->> 'conenforced')::boolean, true)
      AND (t.oid IS NOT NULL OR d.oid IS NOT NULL)
)
SELECT kind, name, "table", cause, repair, drop
FROM (
    SELECT 'index' AS kind, name, "table", cause,
           CASE WHEN cause = 'partitions' THEN ''
                WHEN cause = 'build' THEN 'REINDEX INDEX CONCURRENTLY ' || name
                WHEN can_go THEN 'DROP INDEX CONCURRENTLY ' || name
                ELSE '' END AS repair,
           CASE WHEN cause <> 'partitions' AND can_go THEN 'DROP INDEX CONCURRENTLY ' || name ELSE '' END AS drop
    FROM indexes
    UNION ALL
    SELECT 'constraint', pg_catalog.format('%%s.%%I', owner, conname), coalesce("table", ''),
           CASE WHEN "table" IS NULL THEN 'domain' ELSE 'rows' END,
           pg_catalog.format('ALTER %%s %%s VALIDATE CONSTRAINT %%I', what, owner, conname),
           pg_catalog.format('ALTER %%s %%s DROP CONSTRAINT %%I', what, owner, conname)
    FROM (SELECT *, CASE WHEN "table" IS NULL THEN 'DOMAIN' ELSE 'TABLE' END AS what FROM constraints) AS c
) AS invalid_objects
ORDER BY kind DESC, cause NOT IN ('drop', 'reindex'), name
