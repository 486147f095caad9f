"""Databases that a run creates for itself: closed to others, and dropped at its end or by the next run.

The number in the name is the key of an advisory lock that the creator holds from before the database exists until after
it is dropped. Locks are shown across databases: if no session holds the key, the creator is dead.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import Connection, errors, sql

_CREATE = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ALLOW_CONNECTIONS false ")
_REVOKE = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC")
_OPEN = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true")
_ABANDONED = """
SELECT d.datname FROM pg_catalog.pg_database AS d
WHERE d.datname ~ %(pattern)s
  AND CASE WHEN %(own)s THEN pg_catalog.pg_get_userbyid(d.datdba) = current_user
           ELSE pg_catalog.pg_has_role(d.datdba, 'USAGE') END
  AND CASE WHEN d.datname ~ %(pattern)s
           THEN ('x' || pg_catalog.right(d.datname::text, 16))::bit(64)::bigint END NOT IN (
      SELECT (l.classid::bigint << 32) | l.objid::bigint FROM pg_catalog.pg_locks AS l
      WHERE l.locktype = 'advisory' AND l.objsubid = 1)
  AND (%(mark)s::text IS NULL OR %(half)s AND NOT d.datallowconn
       OR pg_catalog.starts_with(pg_catalog.shobj_description(d.oid, 'pg_database'), %(mark)s::text))
"""
_IS_TEMPLATE = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s AND datistemplate"
_SUBSCRIPTIONS = """
SELECT s.subname FROM pg_catalog.pg_subscription AS s
JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid AND d.datname = pg_catalog.current_database()
"""


@contextmanager
def reserved_name(connection: Connection[Any], prefix: str) -> Iterator[str]:
    """Reserves a name for a database, and drops the database at the end if it still has that name.

    Args:
        connection: In autocommit mode, to another database of the server and not through a pooler: its session holds
            the lock. If it is lost, `drop_abandoned` drops the database.
    """
    number = secrets.randbits(63)
    connection.execute("SELECT pg_catalog.pg_advisory_lock(%s::bigint)", (number,))
    name = f"{prefix}{number:016x}"
    try:
        yield name
    finally:
        if not connection.closed:
            drop(connection, name)
            with suppress(psycopg.Error):
                connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s::bigint)", (number,))


def create_closed(connection: Connection[Any], name: str, options: Sequence[sql.Composable] = ()) -> None:
    """Creates an empty database that only its owner, with all members of that role, and superusers may enter.

    Objects that others create in a database while it is filled would run with the privileges of the role that fills
    it, and their sessions would prevent its renaming.

    Args:
        connection: In autocommit mode, to another database of the server.
        options: Further options of CREATE DATABASE.
    """
    identifier = sql.Identifier(name)
    connection.execute(_CREATE.format(identifier) + sql.SQL(" ").join(options))
    for statement in (_REVOKE, _OPEN):
        connection.execute(statement.format(identifier))


def drop_abandoned(
    connection: Connection[Any], prefix: str, *, own: bool = False, mark: str | None = None, half: bool = False
) -> list[str]:
    """Drops the databases of killed runs, and returns their names.

    Args:
        own: Only those that the current role owns itself, not by membership in another role.
        mark: Only those whose comment begins with it.
        half: Also those without the comment that are closed to all connections, since it is written before they open.
    """
    asked = {"pattern": f"^{prefix}[0-9a-f]{{16}}$", "own": own, "mark": mark, "half": half}
    rows = connection.execute(_ABANDONED, asked).fetchall()
    return [name for (name,) in rows if drop(connection, name)]


def drop(connection: Connection[Any], name: str) -> bool:
    """Drops a database despite its sessions; returns False if it cannot, since an earlier error must not be hidden."""
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    try:
        unmark_template(connection, name)
        try:
            connection.execute(statement)
        except errors.ObjectInUse:
            _drop_subscriptions(connection, name)
            connection.execute(statement)
    except psycopg.Error:
        return False
    return True


def unmark_template(connection: Connection[Any], name: str) -> None:
    """Makes an ordinary database of a template, which cannot be dropped."""
    if connection.execute(_IS_TEMPLATE, (name,)).fetchone():
        connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(name)))


def _drop_subscriptions(connection: Connection[Any], name: str) -> None:
    """Drops those that a dump brought, without contacting the publisher: the slots there belong to the original."""
    info = connection.info
    with psycopg.connect(info.dsn, password=info.password, dbname=name, autocommit=True) as inside:
        for (subscription,) in inside.execute(_SUBSCRIPTIONS).fetchall():
            for statement in ("ALTER SUBSCRIPTION {} SET (slot_name = NONE)", "DROP SUBSCRIPTION {}"):
                inside.execute(sql.SQL(statement).format(sql.Identifier(subscription)))
