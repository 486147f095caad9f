"""The connection from outside: databases are created, renamed and dropped from another one of the same server."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import Connection, errors, sql

from bootstrapper.deadline import Deadline
from bootstrapper.errors import RefusedError
from bootstrapper.postgres.connection import settings
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.target import Target

PREFIX = "bootstrapper_restoring_"
_PLACES = ("postgres", "template1")
_NAME = "bootstrapper restore"

# The number in the name is the key of an advisory lock that the maker holds from before the database is there. Locks
# are shown across databases: one that nobody holds belongs to a run that is dead.
_ABANDONED = """
SELECT d.datname FROM pg_catalog.pg_database AS d
WHERE d.datname ~ %s AND pg_catalog.pg_has_role(d.datdba, 'USAGE')
  AND CASE WHEN d.datname ~ %s THEN ('x' || pg_catalog.right(d.datname::text, 16))::bit(64)::bigint END NOT IN (
      SELECT (l.classid::bigint << 32) | l.objid::bigint FROM pg_catalog.pg_locks AS l
      WHERE l.locktype = 'advisory' AND l.objsubid = 1)
"""
_IS_TEMPLATE = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s AND datistemplate"
_SUBSCRIPTIONS = """
SELECT s.subname FROM pg_catalog.pg_subscription AS s
JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid AND d.datname = pg_catalog.current_database()
"""
_PATTERN = f"^{PREFIX}[0-9a-f]{{16}}$"


def enter(target: Target, deadline: Deadline) -> Connection[Any]:
    """A connection in autocommit mode whose statements may take their time, whatever the role's settings say.

    Raises UnreachableError or RefusedError, as any connecting does.
    """
    connection = connect(target, deadline=deadline, application_name=_NAME)
    settings.greet(connection)
    return connection


@contextmanager
def outside(target: Target, database: str, deadline: Deadline) -> Iterator[Connection[Any]]:
    """Such a connection to a database beside this one, closed at the end.

    Raises:
        RefusedError: The role may enter neither of those that every server has.
        UnreachableError: The server does not answer.
    """
    refused: RefusedError | None = None
    for place in _PLACES:
        if place == database:
            continue
        try:
            connection = enter(target.with_database(place), deadline)
        except RefusedError as error:
            refused = refused or error
            continue
        with connection:
            yield connection
        return
    assert refused is not None
    raise RefusedError(
        target.where,
        f"the role may connect to none of {', '.join(_PLACES)}: {refused.reason}",
        sqlstate=refused.sqlstate,
        hint="Grant it CONNECT on one of them, or pass --in-place.",
    ) from refused


@contextmanager
def new_name(connection: Connection[Any]) -> Iterator[str]:
    """A name for a database that is dropped at the end if it still has that name, or else by the next restore."""
    number = secrets.randbits(63)
    connection.execute("SELECT pg_catalog.pg_advisory_lock(%s::bigint)", (number,))
    name = f"{PREFIX}{number:016x}"
    try:
        yield name
    finally:
        if not connection.closed:
            drop(connection, name)
            with suppress(psycopg.Error):
                connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s::bigint)", (number,))


def sweep(connection: Connection[Any]) -> list[str]:
    """Drops the half-made databases of dead runs, and gives their names."""
    names = [name for (name,) in connection.execute(_ABANDONED, (_PATTERN, _PATTERN)).fetchall()]
    return [name for name in names if drop(connection, name)]


def drop(connection: Connection[Any], name: str) -> bool:
    """Whoever is still in it; false where it could not be dropped, which must not hide how the work ended."""
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
    """No template can be dropped; nothing happens where it is none."""
    if connection.execute(_IS_TEMPLATE, (name,)).fetchone():
        connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(name)))


def _drop_subscriptions(connection: Connection[Any], name: str) -> None:
    """Those that a dump brought along, without a word to the publisher: the slots there are those of the original."""
    info = connection.info
    with psycopg.connect(info.dsn, password=info.password, dbname=name, autocommit=True) as inside:
        for (subscription,) in inside.execute(_SUBSCRIPTIONS).fetchall():
            for statement in ("ALTER SUBSCRIPTION {} SET (slot_name = NONE)", "DROP SUBSCRIPTION {}"):
                inside.execute(sql.SQL(statement).format(sql.Identifier(subscription)))
