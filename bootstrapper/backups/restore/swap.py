"""The moment in which one database takes the other's name."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import psycopg
from psycopg import Connection, errors, sql

from bootstrapper.backups.restore import sessions
from bootstrapper.backups.restore.kept_databases import comment
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError, CommitUnknownError
from bootstrapper.postgres.connection.cutoff import cut_off

_LOCK_TIMEOUT = "10s"
_RENAME = "ALTER DATABASE {} RENAME TO {}"
_COMMENT = "COMMENT ON DATABASE {} IS {}"
_OID = "SELECT oid FROM pg_catalog.pg_database WHERE datname = %s"


def swap(
    connection: Connection[Any],
    watcher: Connection[Any],
    *,
    name: str,
    new: str,
    kept: str,
    grants: Iterable[sql.Composed],
    terminate: bool,
    deadline: Deadline,
) -> None:
    """Renames both in one transaction: whoever is killed, whenever, one database has the name.

    The server lets nobody into a database from the moment its RENAME begins to wait for those who are inside. That is
    why no step before closes it to connections: killed after such a step, it would stay closed.

    Args:
        connection: To another database, in autocommit mode.
        watcher: A second one, which ends sessions while the first one waits.
        new: The database that gets the name; nobody is connected to it.
        kept: The name that the old one gets.
        grants: Statements that open the database which has the name by then; others can connect only after COMMIT.

    Raises:
        GuardError: Others are connected, and are not to be ended or can not be.
        CommitUnknownError: The connection died at COMMIT.
        psycopg.Error: It died before, or was ended by somebody who broke the lock; nothing is renamed.
    """
    if terminate:
        sessions.terminate(watcher, name)
    guard = sessions.kept_out(watcher, name) if terminate else nullcontext()
    try:
        with cut_off(connection, deadline), guard:
            connection.execute("BEGIN")
            connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))
            connection.execute(sql.SQL(_RENAME).format(sql.Identifier(name), sql.Identifier(kept)))
            connection.execute(sql.SQL(_RENAME).format(sql.Identifier(new), sql.Identifier(name)))
            for statement in grants:
                connection.execute(statement)
            connection.execute(sql.SQL(_COMMENT).format(sql.Identifier(kept), sql.Literal(comment(name))))
            _commit(connection)
    except errors.ObjectInUse as error:
        connection.execute("ROLLBACK")
        found = [each for database in (name, new) for each in sessions.others(watcher, database)]
        raise sessions.refusal(found, name) from error
    except psycopg.Error as error:
        if connection.closed:
            raise  # before COMMIT: nothing is renamed
        connection.execute("ROLLBACK")
        said = error.diag.message_primary or str(error).partition("\n")[0]
        raise BackupError(f"the databases can not be renamed: {said}") from error


def _commit(connection: Connection[Any]) -> None:
    try:
        connection.execute("COMMIT")
    except psycopg.Error as error:
        raise CommitUnknownError("the server closed it while the databases were renamed") from error


def oid_of(connection: Connection[Any], name: str) -> int:
    row = connection.execute(_OID, (name,)).fetchone()
    if row is None:
        raise BackupError(f"there is no database {name!r} any more")
    return int(row[0])
