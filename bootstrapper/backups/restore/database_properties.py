"""Copies the properties of a database that are not in its dump: locale, owner, settings, grants."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import Connection, errors, sql

from bootstrapper.errors import BackupError, RefusedError
from bootstrapper.postgres.server.database_properties import Properties, shown, statements
from bootstrapper.postgres.server.scratch import create_closed

_CANNOT_COPY = "cannot copy the properties of the database"


def create(connection: Connection[Any], name: str, like: Properties, where: str) -> None:
    """Creates the database, empty and closed to others; other properties would interfere with the restore.

    Raises:
        RefusedError: The role may not.
        BackupError: The server cannot, as for lack of disk space or of a locale.
    """
    options = [sql.SQL(word) + sql.SQL(" ") + sql.Literal(value) for word, value in like.locale]
    places = [sql.SQL("OWNER {}").format(sql.Identifier(like.owner))]
    if like.tablespace is not None:
        places.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(like.tablespace)))
    try:
        create_closed(connection, name, [*places, *options])
    except errors.InsufficientPrivilege as error:
        raise RefusedError(
            where,
            f"cannot create a database: {error.diag.message_primary}",
            sqlstate=error.sqlstate,
            hint="Run as a role with CREATEDB that is a member of the database's owner, or pass --in-place.",
        ) from error
    except psycopg.DatabaseError as error:
        if connection.closed:
            raise
        raise BackupError(f"cannot create a database: {error.diag.message_primary}") from error


def copy_properties(connection: Connection[Any], name: str, like: Properties) -> None:
    """Sets all other properties but the grants on a restored database; raises BackupError if one fails."""
    for statement in statements(sql.Identifier(name), like):
        try:
            connection.execute(statement)
        except psycopg.DatabaseError as error:
            if connection.closed:
                raise
            said = f"{_CANNOT_COPY}: {shown(statement)}: {error.diag.message_primary}"
            hint = "Run as a role that may set it, or pass --in-place, which keeps the existing database."
            raise BackupError(said, hint=hint) from error
