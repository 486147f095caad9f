-- Every object of the user's that is created and dropped by itself, with the statement that drops it. Kind and identity
-- are the same in every database, whatever search_path is. Left out are members of extensions, what the server makes
-- along with another object, and sequences of a column.
WITH words (kind, word) AS (
    VALUES ('table', 'TABLE'), ('foreign table', 'FOREIGN TABLE'), ('view', 'VIEW'),
           ('materialized view', 'MATERIALIZED VIEW'), ('sequence', 'SEQUENCE'), ('type', 'TYPE'),
           ('function', 'ROUTINE'), ('procedure', 'ROUTINE'), ('aggregate', 'ROUTINE'), ('collation', 'COLLATION'),
           ('conversion', 'CONVERSION'), ('operator', 'OPERATOR'), ('operator class', 'OPERATOR CLASS'),
           ('operator family', 'OPERATOR FAMILY'), ('cast', 'CAST'),
           ('text search configuration', 'TEXT SEARCH CONFIGURATION'),
           ('text search dictionary', 'TEXT SEARCH DICTIONARY'), ('text search parser', 'TEXT SEARCH PARSER'),
           ('text search template', 'TEXT SEARCH TEMPLATE'), ('publication', 'PUBLICATION'),
           ('event trigger', 'EVENT TRIGGER'), ('foreign-data wrapper', 'FOREIGN DATA WRAPPER'), ('server', 'SERVER'),
           ('user mapping', 'USER MAPPING'), ('extension', 'EXTENSION'), ('schema', 'SCHEMA')
),
candidates (class, oid, namespace) AS (
    SELECT 'pg_class'::regclass, oid, relnamespace FROM pg_class
    WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND relpersistence <> 't'
    UNION ALL
    SELECT 'pg_type', t.oid, t.typnamespace FROM pg_type AS t
    WHERE t.typtype IN ('b', 'c', 'd', 'e', 'r') AND t.typcategory <> 'A'
      AND (t.typrelid = 0 OR EXISTS (SELECT FROM pg_class AS c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
    UNION ALL SELECT 'pg_proc', oid, pronamespace FROM pg_proc
    UNION ALL SELECT 'pg_collation', oid, collnamespace FROM pg_collation
    UNION ALL SELECT 'pg_conversion', oid, connamespace FROM pg_conversion
    UNION ALL SELECT 'pg_operator', oid, oprnamespace FROM pg_operator
    UNION ALL SELECT 'pg_opclass', oid, opcnamespace FROM pg_opclass
    UNION ALL SELECT 'pg_opfamily', oid, opfnamespace FROM pg_opfamily
    UNION ALL SELECT 'pg_ts_config', oid, cfgnamespace FROM pg_ts_config
    UNION ALL SELECT 'pg_ts_dict', oid, dictnamespace FROM pg_ts_dict
    UNION ALL SELECT 'pg_ts_parser', oid, prsnamespace FROM pg_ts_parser
    UNION ALL SELECT 'pg_ts_template', oid, tmplnamespace FROM pg_ts_template
    UNION ALL SELECT 'pg_cast', oid, 0 FROM pg_cast
    UNION ALL SELECT 'pg_publication', oid, 0 FROM pg_publication
    UNION ALL SELECT 'pg_event_trigger', oid, 0 FROM pg_event_trigger
    UNION ALL SELECT 'pg_foreign_data_wrapper', oid, 0 FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'pg_foreign_server', oid, 0 FROM pg_foreign_server
    UNION ALL SELECT 'pg_user_mapping', umid, 0 FROM pg_user_mappings
    UNION ALL SELECT 'pg_extension', oid, 0 FROM pg_extension
    UNION ALL SELECT 'pg_namespace', oid, oid FROM pg_namespace
)
SELECT c.class::oid, c.oid, i.type, i.identity,
       CASE i.type WHEN 'user mapping' THEN (
           SELECT pg_catalog.format('DROP USER MAPPING FOR %s SERVER %I',
                                    CASE m.umuser WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(m.usename) END,
                                    m.srvname)
           FROM pg_user_mappings AS m WHERE m.umid = c.oid)
       ELSE pg_catalog.format('DROP %s %s', w.word, i.identity) END
FROM candidates AS c
CROSS JOIN LATERAL pg_catalog.pg_identify_object(c.class, c.oid, 0) AS i
JOIN words AS w ON w.kind = i.type
LEFT JOIN pg_namespace AS n ON n.oid = c.namespace
WHERE c.oid >= 16384  -- FirstNormalObjectId: those below come with every database, as schema public does
  AND NOT coalesce(n.nspname = 'information_schema' OR pg_catalog.starts_with(n.nspname::text, 'pg_'), false)
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = c.class AND d.objid = c.oid AND d.objsubid = 0
                    AND (d.deptype IN ('e', 'i') OR d.deptype = 'a' AND d.refobjsubid > 0 AND i.type = 'sequence'))
ORDER BY i.type, i.identity COLLATE "C"
