"""Checks the privileges that a restore needs, before anything is read or changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import Connection, errors, sql

from bootstrapper.backups.restore import maintenance_database, sessions
from bootstrapper.deadline import Deadline
from bootstrapper.errors import GuardError, RefusedError
from bootstrapper.plugin.project import Project
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.table_names import TABLES
from bootstrapper.postgres.server.database_properties import Properties, grants, properties, shown, statements

INSUFFICIENT = "42501"

_SHOWN = 5
_BUSY_MILLISECONDS = 3000
# Since 16 a membership may lack the SET option, which changing the owner needs.
_MAY = """
SELECT current_user, r.rolsuper OR (
           r.rolcreatedb AND pg_catalog.pg_has_role(d.datdba, 'USAGE') AND pg_catalog.pg_has_role(d.datdba, CASE
               WHEN pg_catalog.current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END))
FROM pg_catalog.pg_roles AS r, pg_catalog.pg_database AS d WHERE r.rolname = current_user AND d.datname = %s
"""
_MAY_PLACE = "SELECT pg_catalog.has_tablespace_privilege(%s::name, 'CREATE')"
# The conditions of pg_terminate_backend(): https://www.postgresql.org/docs/current/functions-admin.html
_UNTOUCHABLE = """
SELECT a.pid, a.usename, coalesce(a.application_name, ''), NULL, ''
FROM pg_catalog.pg_stat_activity AS a
JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
JOIN pg_catalog.pg_roles AS we ON we.rolname = current_user
WHERE a.datname = %s AND NOT a.pid = ANY (%s::int[]) AND NOT we.rolsuper AND (r.rolsuper OR NOT (
    pg_catalog.pg_has_role(r.oid, 'USAGE') OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')))
ORDER BY a.backend_start, a.pid
"""
# An object can be dropped by its owner or that of its schema. Our own schema is dropped with everything in it.
_FOREIGN = """
WITH objects AS (
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, oid, relowner AS owner, relnamespace AS schema
    FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, proowner, pronamespace FROM pg_catalog.pg_proc
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typowner, typnamespace
    FROM pg_catalog.pg_type WHERE typtype IN ('d', 'e', 'r')
    UNION ALL
    SELECT 'pg_catalog.pg_publication'::pg_catalog.regclass, oid, pubowner, NULL FROM pg_catalog.pg_publication
    UNION ALL
    SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, oid, evtowner, NULL FROM pg_catalog.pg_event_trigger
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, oid, srvowner, NULL
    FROM pg_catalog.pg_foreign_server
)
SELECT i.type, i.identity, pg_catalog.pg_get_userbyid(o.owner)
FROM objects AS o
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = o.schema
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = o.oid AND o.class = 'pg_catalog.pg_class'::pg_catalog.regclass
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) AS i
WHERE NOT pg_catalog.pg_has_role(o.owner, 'USAGE')
  AND (n.oid IS NULL OR (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                         AND NOT pg_catalog.pg_has_role(n.nspowner, 'USAGE')))
  AND NOT coalesce(n.nspname = %s AND c.relname = ANY (%s), false)
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype IN ('e', 'i'))
ORDER BY 1, 2
"""


def require_all(session: Session, project: Project, deadline: Deadline, *, in_place: bool, terminate: bool) -> None:
    """Raises RefusedError for a missing privilege, GuardError for anything else that prevents the restore."""
    target, name = project.target, session.server.database
    own = [session.connection.info.backend_pid]
    if in_place:
        with session.read_only() as connection:
            require_may_empty(connection, target.where, project.ledger)
            if terminate:
                require_may_terminate(connection, name, own)
        return
    with maintenance_database.outside(target, name, deadline) as connection:
        require_may_replace(connection, target.where, name)
        sessions.require_no_prepared(connection, name)
        if terminate:
            require_may_terminate(connection, name, own)


def require_may_replace(connection: Connection[Any], where: str, name: str) -> None:
    """Raises RefusedError if the role may not create a database like this one and swap their names.

    Settings of this database, such as those of ALTER ROLE ... IN DATABASE, are tried on the database itself in a
    transaction that is rolled back.

    Args:
        connection: To another database of the server, in autocommit mode.
    """
    row = connection.execute(_MAY, (name,)).fetchone()
    if row is None or not row[1]:
        role = f"role {row[0]!r}" if row is not None else "the role"
        raise RefusedError(
            where,
            f"{role} may not create a database beside {name!r} and rename both",
            sqlstate=INSUFFICIENT,
            hint="Run as a role with CREATEDB that is a member of the database's owner, or pass --in-place.",
        )
    like = properties(connection, name)
    _require_tablespace(connection, where, like)
    _require_may_set(connection, where, name, like)


def _require_tablespace(connection: Connection[Any], where: str, like: Properties) -> None:
    if like.tablespace is None:
        return
    row = connection.execute(_MAY_PLACE, (like.tablespace,)).fetchone()
    if row is None or not row[0]:
        raise RefusedError(
            where,
            f"the role may not create a database in tablespace {like.tablespace!r}",
            sqlstate=INSUFFICIENT,
            hint=f"Grant it CREATE on tablespace {like.tablespace}, or pass --in-place.",
        )


def _require_may_set(connection: Connection[Any], where: str, name: str, like: Properties) -> None:
    for statement in (*statements(sql.Identifier(name), like), *grants(name, like)):
        try:
            with connection.transaction(force_rollback=True):
                connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", (str(_BUSY_MILLISECONDS),))
                connection.execute(statement)
        except (errors.InsufficientPrivilege, errors.UndefinedObject, errors.InvalidParameterValue) as error:
            raise RefusedError(
                where,
                f"the role may not set properties of the database: {shown(statement)}: {error.diag.message_primary}",
                sqlstate=error.sqlstate,
                hint="Run as a role that may set it, or pass --in-place, which keeps the existing database.",
            ) from error
        except psycopg.DatabaseError:
            if connection.closed:
                raise
            # Another session is changing the database's row; that is not a missing privilege.


def require_may_terminate(connection: Connection[Any], database: str, own: Sequence[int] = ()) -> None:
    """Raises GuardError with the sessions that this role may not terminate."""
    found = [sessions.Session(*row) for row in connection.execute(_UNTOUCHABLE, (database, list(own))).fetchall()]
    if found:
        more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        raise GuardError(
            f"the role may not terminate these sessions in database {database!r}:",
            details=[*map(str, found[:_SHOWN]), *more],
            hint="Grant it pg_signal_backend (a superuser for sessions of superusers), or stop the application.",
        )


def require_may_empty(connection: Connection[Any], where: str, names: LedgerNames) -> None:
    """Raises RefusedError with the objects that an in-place restore has to drop and the role may not."""
    ledger = [names.table_name(name) for name in TABLES]
    found = [f"{kind} {what} of {owner}" for kind, what, owner in connection.execute(_FOREIGN, (names.schema, ledger))]
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise RefusedError(
            where,
            f"the role may not drop objects of other owners: {', '.join(found[:_SHOWN])}{more}",
            sqlstate=INSUFFICIENT,
            hint="Run as a member of these roles, or without --in-place.",
        )
