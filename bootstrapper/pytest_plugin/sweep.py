"""The databases of the plugin: how they are recognised, and which of them are dropped.

Each has a reserved name, of which the last 16 digits are the key of an advisory lock that its session holds, and a
comment. A database of such a name without the comment is never dropped, unless it is a clone or a draft that is closed
to all connections: those get their comment before they are opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, sql

from bootstrapper.postgres.server.scratch import drop_abandoned

TEMPLATE = "bootstrapper_template_"
DRAFT = "bootstrapper_draft_"
CLONE = "bootstrapper_test_"
MARK = "bootstrapper pytest"

_IS_OURS = """
SELECT coalesce(pg_catalog.starts_with(pg_catalog.shobj_description(oid, 'pg_database'), %s), false)
FROM pg_catalog.pg_database WHERE datname = %s
"""


def template_mark(project_key: str) -> str:
    return f"{MARK} template of {project_key}"


def write_mark(name: str, mark: str) -> sql.Composed:
    return sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(mark))


def sweep_killed(connection: Connection[Any]) -> None:
    """Drops the clones and the unfinished templates of sessions that were killed, of any project."""
    for prefix in (CLONE, DRAFT):
        drop_abandoned(connection, prefix, mark=MARK, half=True)


def sweep_outdated(connection: Connection[Any], project_key: str) -> None:
    """Drops the templates of the project that no session uses; the own one is in use."""
    drop_abandoned(connection, TEMPLATE, mark=template_mark(project_key))


def is_ours(connection: Connection[Any], name: str) -> bool | None:
    """Returns whether the database has our comment; None if it does not exist."""
    row = connection.execute(_IS_OURS, (MARK, name)).fetchone()
    return bool(row[0]) if row is not None else None


def use(connection: Connection[Any], name: str) -> None:
    """Keeps other sessions from sweeping the template as long as the connection is open."""
    connection.execute("SELECT pg_catalog.pg_advisory_lock_shared(%s::bigint)", (_number(name),))


@contextmanager
def making(connection: Connection[Any], name: str, seconds: float) -> Iterator[None]:
    """Lets one session at a time make the template of this name.

    Raises psycopg.errors.LockNotAvailable if another one needs longer than that.
    """
    number = _number(name) ^ 1
    connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, false)", (f"{int(seconds * 1000)}ms",))
    try:
        connection.execute("SELECT pg_catalog.pg_advisory_lock(%s::bigint)", (number,))
    finally:
        connection.execute("SELECT pg_catalog.set_config('lock_timeout', '0', false)")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s::bigint)", (number,))


def _number(name: str) -> int:
    return int.from_bytes(bytes.fromhex(name[-16:]), signed=True)
