-- What is in this database, in rows of kind and text: `drop` is a statement, the others name what stays.
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
      AND d.classid NOT IN (
          'pg_catalog.pg_default_acl'::pg_catalog.regclass, 'pg_catalog.pg_extension'::pg_catalog.regclass)
    UNION ALL
    SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, oid FROM pg_catalog.pg_event_trigger
    UNION ALL
    SELECT 'pg_catalog.pg_publication'::pg_catalog.regclass, oid FROM pg_catalog.pg_publication
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, oid FROM pg_catalog.pg_foreign_server
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, oid FROM pg_catalog.pg_foreign_data_wrapper
    UNION ALL
    SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, oid FROM pg_catalog.pg_language WHERE oid >= 16384
    UNION ALL
    SELECT 'pg_catalog.pg_am'::pg_catalog.regclass, oid FROM pg_catalog.pg_am WHERE oid >= 16384
    UNION ALL
    SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, oid FROM pg_catalog.pg_cast WHERE oid >= 16384
), droppable AS (
    SELECT i.type, i.identity, o.classid, o.objid
    FROM single AS o CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) AS i
    WHERE NOT EXISTS (
        -- What belongs to an extension stays, what belongs to another object goes with that.
        SELECT FROM pg_catalog.pg_depend AS d
        WHERE d.classid = o.classid AND d.objid = o.objid AND d.refobjid <> o.objid AND (d.deptype IN ('e', 'i')
              OR (d.deptype = 'a' AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)))
      AND NOT (o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.objid IN (SELECT oid FROM ledger))
), default_acls AS (
    SELECT r.rolname, a.defaclrole, n.nspname, k.kind, a.defaclacl,
           CASE WHEN n.nspname IS NULL THEN pg_catalog.acldefault(k.letter::"char", a.defaclrole) END AS builtin
    FROM pg_catalog.pg_default_acl AS a
    JOIN pg_catalog.pg_roles AS r ON r.oid = a.defaclrole AND pg_catalog.pg_has_role(r.oid, 'USAGE')
    JOIN (VALUES ('r', 'r', 'TABLES'), ('S', 's', 'SEQUENCES'), ('f', 'f', 'FUNCTIONS'), ('T', 'T', 'TYPES'),
                 ('n', 'n', 'SCHEMAS'), ('L', 'L', 'LARGE OBJECTS')) AS k (type, letter, kind)
      ON k.type = a.defaclobjtype::text
    LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = a.defaclnamespace
), default_privileges AS (
    -- Given where the server would not give them by itself, and taken where it would.
    SELECT 'REVOKE' AS verb, 'FROM' AS whom, d.*, a.grantee, a.privilege_type
    FROM default_acls AS d CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) AS a
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.aclexplode(d.builtin) AS b
        WHERE b.grantee = a.grantee AND b.privilege_type = a.privilege_type)
    UNION ALL
    SELECT 'GRANT', 'TO', d.*, b.grantee, b.privilege_type
    FROM default_acls AS d CROSS JOIN LATERAL pg_catalog.aclexplode(d.builtin) AS b
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.aclexplode(d.defaclacl) AS a
        WHERE b.grantee = a.grantee AND b.privilege_type = a.privilege_type)
)
SELECT kind, text FROM (
    SELECT -1, 'drop', pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %%I%%s %%s %%s ON %%s %%s %%s', rolname,
        ' IN SCHEMA ' || pg_catalog.quote_ident(nspname), verb, privilege_type, kind, whom,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END)
    FROM default_privileges
    UNION ALL
    SELECT 0, 'drop', pg_catalog.format('DROP SCHEMA IF EXISTS %%I CASCADE', nspname) FROM schemas WHERE NOT stays
    UNION ALL
    SELECT 1, 'drop', pg_catalog.format('DROP %%s IF EXISTS %%s CASCADE',
        CASE type WHEN 'composite type' THEN 'TYPE' ELSE pg_catalog.upper(pg_catalog.replace(type, '-', ' ')) END,
        identity)
    FROM droppable
    UNION ALL
    SELECT 2, 'drop', pg_catalog.format('SELECT pg_catalog.lo_unlink(%%s)', oid)
    FROM pg_catalog.pg_largeobject_metadata
    UNION ALL
    SELECT 3, 'schema', nspname::text FROM schemas WHERE stays
    UNION ALL
    SELECT 4, 'extension', extname::text FROM pg_catalog.pg_extension
    UNION ALL
    SELECT 5, 'subscription', s.subname::text FROM pg_catalog.pg_subscription AS s
    JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid AND d.datname = pg_catalog.current_database()
) AS found (place, kind, text)
ORDER BY place, text
