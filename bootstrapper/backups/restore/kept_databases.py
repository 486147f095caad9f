"""The databases that restores have put aside, under names that say so."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Connection, errors, sql

from bootstrapper.backups.restore.maintenance_database import unmark_template
from bootstrapper.errors import GuardError, RefusedError

_LONGEST_NAME = 63
_RUN = 8

_LISTED = """
SELECT d.datname, pg_catalog.pg_database_size(d.oid) FROM pg_catalog.pg_database AS d
WHERE d.datname ~ %s AND pg_catalog.pg_has_role(d.datdba, 'USAGE')
  AND pg_catalog.starts_with(pg_catalog.shobj_description(d.oid, 'pg_database'), %s) ORDER BY d.datname
"""


def kept_name(database: str, run_id: UUID) -> str:
    """`app_before_1a2b3c4d`: the end of the run's id, which also stands in the names of backups; at most 63 bytes."""
    return f"{_stem(database)}{run_id.hex[-_RUN:]}"


def _stem(database: str) -> str:
    ending = "_before_"
    room = _LONGEST_NAME - len(ending) - _RUN
    return database.encode()[:room].decode(errors="ignore") + ending


def kept(connection: Connection[Any], database: str) -> dict[str, int]:
    """Those of this database that the role may drop, with their sizes in bytes."""
    pattern = f"^{re.escape(_stem(database))}[0-9a-f]{{{_RUN}}}$"
    return dict(connection.execute(_LISTED, (pattern, comment(database))).fetchall())


def comment(database: str) -> str:
    """What a database that was put aside says of itself: a name alone may be anybody's, or be cut off."""
    return f"bootstrapper: put aside by a restore of {json.dumps(database)}"


def drop(connection: Connection[Any], name: str, where: str) -> None:
    """Raises GuardError where it is in use, be it by a subscription of its own, RefusedError where the role may not."""
    try:
        unmark_template(connection, name)
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
    except errors.ObjectInUse as error:
        raise GuardError(
            f"database {name!r} is in use: {error.diag.message_detail or error.diag.message_primary}",
            hint="End its sessions first; drop its subscriptions, and the replication slots that somebody reads.",
        ) from error
    except errors.InvalidCatalogName:
        return  # somebody else dropped it meanwhile
    except psycopg.errors.InsufficientPrivilege as error:
        raise RefusedError(where, str(error.diag.message_primary), sqlstate=error.sqlstate) from error
