-- What stands in the way of dropping the given objects, and in which order they can be dropped without CASCADE. What the
-- server drops along with one of them, such as the indexes of a table, has its number.
WITH RECURSIVE given (class, oid, number) AS (
    SELECT * FROM unnest(%(classes)s::oid[], %(oids)s::oid[]) WITH ORDINALITY
),
others (class, oid) AS (
    SELECT * FROM unnest(%(other_classes)s::oid[], %(other_oids)s::oid[])
),
dropped (class, oid, number) AS (
    SELECT class, oid, number FROM given
    UNION
    SELECT d.classid, d.objid, p.number FROM dropped AS p
    JOIN pg_depend AS d ON d.refclassid = p.class AND d.refobjid = p.oid AND d.deptype <> 'n'
    WHERE NOT EXISTS (SELECT FROM given AS g WHERE g.class = d.classid AND g.oid = d.objid)
),
-- Dropped before the tables: through these, tables depend on each other, and on functions, in circles.
parts (class, oid, statement) AS (
    SELECT 'pg_constraint'::regclass::oid, c.oid, CASE WHEN c.conparentid = 0 AND c.coninhcount = 0 THEN
           pg_catalog.format('ALTER TABLE %%s DROP CONSTRAINT %%I', c.conrelid::regclass, c.conname) END
    FROM pg_constraint AS c WHERE c.conrelid <> 0 AND c.contype IN ('c', 'f')
    UNION ALL
    SELECT 'pg_trigger'::regclass, t.oid, CASE WHEN NOT t.tgisinternal AND t.tgparentid = 0 THEN
           pg_catalog.format('DROP TRIGGER %%I ON %%s', t.tgname, t.tgrelid::regclass) END
    FROM pg_trigger AS t
    UNION ALL
    SELECT 'pg_policy'::regclass, p.oid, pg_catalog.format('DROP POLICY %%I ON %%s', p.polname, p.polrelid::regclass)
    FROM pg_policy AS p
    UNION ALL
    SELECT 'pg_attrdef'::regclass, e.oid,
           pg_catalog.format('ALTER TABLE %%s ALTER COLUMN %%I DROP DEFAULT', e.adrelid::regclass, a.attname)
    FROM pg_attrdef AS e JOIN pg_attribute AS a ON a.attrelid = e.adrelid AND a.attnum = e.adnum AND a.attgenerated = ''
),
uses (class, oid, subid, number, used, used_class, used_oid) AS (
    SELECT d.classid, d.objid, d.objsubid, o.number, u.number, d.refclassid, d.refobjid
    FROM dropped AS u
    JOIN pg_depend AS d ON d.refclassid = u.class AND d.refobjid = u.oid
    LEFT JOIN dropped AS o ON o.class = d.classid AND o.oid = d.objid
    WHERE (o.number IS NULL OR o.number <> u.number)
      -- What goes along with either of two objects orders neither.
      AND (d.deptype = 'n' OR EXISTS (SELECT FROM given AS g WHERE g.class = d.classid AND g.oid = d.objid))
)
SELECT DISTINCT 'before', u.number, u.used, NULL::text FROM uses AS u
WHERE u.number IS NOT NULL AND NOT EXISTS (SELECT FROM parts AS p WHERE p.class = u.class AND p.oid = u.oid)
UNION ALL
SELECT DISTINCT 'part', NULL::bigint, NULL::bigint, p.statement
FROM uses AS u JOIN parts AS p ON p.class = u.class AND p.oid = u.oid
WHERE u.number IS NOT NULL AND p.statement IS NOT NULL
UNION ALL
SELECT DISTINCT 'user', NULL::bigint, u.used, CASE WHEN i.refobjid IS NULL
           THEN pg_catalog.pg_describe_object(u.class, u.oid, u.subid)
           ELSE pg_catalog.pg_describe_object(i.refclassid, i.refobjid, 0) END
FROM uses AS u
LEFT JOIN pg_depend AS i ON i.classid = u.class AND i.objid = u.oid AND i.deptype = 'i'
WHERE u.number IS NULL
UNION ALL
SELECT DISTINCT 'user', NULL::bigint, d.number, pg_catalog.pg_describe_object(d.class, d.oid, 0)
FROM dropped AS d JOIN others AS o ON o.class = d.class AND o.oid = d.oid
