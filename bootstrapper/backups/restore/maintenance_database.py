"""Connects to a maintenance database, to create, rename and drop other databases from there."""

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

# The number in the name is the key of an advisory lock that the creator holds before the database exists. Locks are
# visible across databases: a database without its lock belongs to a dead run.
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
    """Connects in autocommit mode, without the timeouts of the role's settings.

    Raises UnreachableError or RefusedError.
    """
    connection = connect(target, deadline=deadline, application_name=_NAME)
    settings.greet(connection)
    return connection


@contextmanager
def outside(target: Target, database: str, deadline: Deadline) -> Iterator[Connection[Any]]:
    """Yields a connection to a database other than `database`, closed at the end.

    Raises:
        RefusedError: The role may not connect to any database that every server has.
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
        f"the role may not connect to {' or '.join(_PLACES)}: {refused.reason}",
        sqlstate=refused.sqlstate,
        hint="Grant it CONNECT on one of them, or pass --in-place.",
    ) from refused


@contextmanager
def new_name(connection: Connection[Any]) -> Iterator[str]:
    """Yields a name for a database, which is dropped at the end, or by the next restore, if it still has that name."""
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
    """Drops the unfinished databases of dead runs, and returns their names."""
    names = [name for (name,) in connection.execute(_ABANDONED, (_PATTERN, _PATTERN)).fetchall()]
    return [name for name in names if drop(connection, name)]


def drop(connection: Connection[Any], name: str) -> bool:
    """Drops a database with its sessions; returns false on failure, which must not hide an earlier error."""
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
    """Makes a template droppable; does nothing for other databases."""
    if connection.execute(_IS_TEMPLATE, (name,)).fetchone():
        connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(name)))


def _drop_subscriptions(connection: Connection[Any], name: str) -> None:
    """Drops restored subscriptions without contacting the publisher, whose slots belong to the original."""
    info = connection.info
    with psycopg.connect(info.dsn, password=info.password, dbname=name, autocommit=True) as inside:
        for (subscription,) in inside.execute(_SUBSCRIPTIONS).fetchall():
            for statement in ("ALTER SUBSCRIPTION {} SET (slot_name = NONE)", "DROP SUBSCRIPTION {}"):
                inside.execute(sql.SQL(statement).format(sql.Identifier(subscription)))
