"""The questions whether the ledger is ours, as texts; also for the quick look, which loads no driver."""

from __future__ import annotations

# The server takes a superuser for a member of every role, so memberships are followed one by one. The owner of the
# database is trusted as long as its rights are not less than ours.
HAS_CODE = """
    c.relkind NOT IN ('r', 'p') OR c.relhasrules OR c.relrowsecurity OR c.relhastriggers AND EXISTS (
        SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
"""
FOREIGN = """
WITH RECURSIVE ours (oid) AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user
    UNION SELECT m.roleid FROM pg_catalog.pg_auth_members AS m JOIN ours ON m.member = ours.oid
), trusted (oid) AS (
    SELECT oid FROM ours
    UNION SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper
    UNION SELECT d.datdba FROM pg_catalog.pg_roles AS r, pg_catalog.pg_database AS d
    WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user AND NOT r.rolsuper
), parts (kind, name, owner, has_code) AS (
    SELECT 'schema', pg_catalog.quote_ident(n.nspname),
        CASE pg_catalog.pg_get_userbyid(n.nspowner) WHEN 'pg_database_owner' THEN d.datdba ELSE n.nspowner END, false
    FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
    WHERE n.nspname = {schema}
    UNION ALL
    SELECT 'table', pg_catalog.format('%I.%I', n.nspname, c.relname), c.relowner, {has_code}
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = {schema} AND c.relname = ANY ({tables}) AND c.relkind <> 'i'
)
SELECT kind, name, pg_catalog.pg_get_userbyid(owner)::text, current_user::text, has_code FROM parts
WHERE has_code OR owner NOT IN (SELECT oid FROM trusted)
    AND ({writes} OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user))
ORDER BY has_code, kind, name LIMIT 1
"""
# A new session spends a millisecond on planning the question above. Where owners do not matter, this one is cheaper.
WITH_CODE = """
SELECT 'table', pg_catalog.format('%I.%I', {schema}, c.relname), NULL, NULL, true FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = {schema})
    AND c.relname = ANY ({tables}::name[]) AND c.relkind <> 'i' AND ({has_code}) LIMIT 1
"""
