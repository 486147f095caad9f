"""Swaps the names of two databases; names, lists and drops the databases that are kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Connection, errors, sql

from bootstrapper.backups.restore import sessions
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError, CommitUnknownError, GuardError, RefusedError
from bootstrapper.postgres.connection.cutoff import cut_off
from bootstrapper.postgres.server.scratch import unmark_template

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
    """Renames both in one transaction, so that one database has the name whenever this is killed.

    The server refuses new connections to a database while its RENAME waits for existing ones. Closing it to connections
    beforehand is not needed, and would last if the run were killed.

    Args:
        connection: In autocommit mode, to another database.
        watcher: A second connection, which terminates sessions while the first one waits.
        new: The database that gets the name; has no sessions.
        kept: The new name of the old database.
        grants: Statements that open the renamed new database; others can connect only after COMMIT.

    Raises:
        GuardError: Other sessions are connected, and must not or cannot be terminated.
        CommitUnknownError: The connection was lost at COMMIT.
        psycopg.Error: It was lost before, or terminated by `lock break`; nothing is renamed.
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
        raise BackupError(f"cannot rename the databases: {said}") from error


def _commit(connection: Connection[Any]) -> None:
    try:
        connection.execute("COMMIT")
    except psycopg.Error as error:
        raise CommitUnknownError("the server closed it while the databases were renamed") from error


def oid_of(connection: Connection[Any], name: str) -> int:
    row = connection.execute(_OID, (name,)).fetchone()
    if row is None:
        raise BackupError(f"database {name!r} does not exist any more")
    return int(row[0])


_LONGEST_NAME = 63
_RUN = 8

_LISTED = """
SELECT d.datname, pg_catalog.pg_database_size(d.oid) FROM pg_catalog.pg_database AS d
WHERE d.datname ~ %s AND pg_catalog.pg_has_role(d.datdba, 'USAGE')
  AND pg_catalog.starts_with(pg_catalog.shobj_description(d.oid, 'pg_database'), %s) ORDER BY d.datname
"""


def kept_name(database: str, run_id: UUID) -> str:
    """Returns a name such as `app_before_1a2b3c4d`, with the end of the run's id as in the names of backups."""
    return f"{_stem(database)}{run_id.hex[-_RUN:]}"


def _stem(database: str) -> str:
    ending = "_before_"
    room = _LONGEST_NAME - len(ending) - _RUN
    return database.encode()[:room].decode(errors="ignore") + ending


def kept(connection: Connection[Any], database: str) -> dict[str, int]:
    """Returns the kept databases that the role may drop, with their sizes in bytes."""
    pattern = f"^{re.escape(_stem(database))}[0-9a-f]{{{_RUN}}}$"
    return dict(connection.execute(_LISTED, (pattern, comment(database))).fetchall())


def comment(database: str) -> str:
    """Returns the comment that identifies a kept database: its name may be truncated, or another's."""
    return f"bootstrapper: put aside by a restore of {json.dumps(database)}"


def drop(connection: Connection[Any], name: str, where: str) -> None:
    """Raises GuardError if it is in use, even by its own subscription, RefusedError if the role may not drop it."""
    try:
        unmark_template(connection, name)
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
    except errors.ObjectInUse as error:
        raise GuardError(
            f"database {name!r} is in use: {error.diag.message_detail or error.diag.message_primary}",
            hint="End its sessions; drop its subscriptions and its active replication slots.",
        ) from error
    except errors.InvalidCatalogName:
        return  # dropped by another session meanwhile
    except psycopg.errors.InsufficientPrivilege as error:
        raise RefusedError(where, str(error.diag.message_primary), sqlstate=error.sqlstate) from error
