"""Connects to a maintenance database, to create, rename and drop other databases from there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from bootstrapper.deadline import Deadline
from bootstrapper.errors import RefusedError
from bootstrapper.postgres.connection import settings
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.target import Target

PREFIX = "bootstrapper_restoring_"
_PLACES = ("postgres", "template1")
_NAME = "bootstrapper restore"


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
