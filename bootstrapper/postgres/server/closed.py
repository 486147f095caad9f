"""Databases for work of our own, closed to all others from the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection, sql

_CREATE = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ALLOW_CONNECTIONS false ")
_REVOKE = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC")
_OPEN = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true")


def create_closed(connection: Connection[Any], name: str, options: Sequence[sql.Composable] = ()) -> None:
    """Makes an empty database that only its owner, with all members of that role, and superusers may enter.

    What others leave in a database that is being filled runs with the rights of the role that fills it, and their
    sessions keep it from being renamed.

    Args:
        connection: In autocommit mode, to another database of the server.
        options: More of CREATE DATABASE.
    """
    identifier = sql.Identifier(name)
    connection.execute(_CREATE.format(identifier) + sql.SQL(" ").join(options))
    for statement in (_REVOKE, _OPEN):
        connection.execute(statement.format(identifier))
