"""Reads a dump into an empty database."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from psycopg import Connection

from bootstrapper.backups.restore import psql
from bootstrapper.backups.restore.dump_reader import Reader
from bootstrapper.backups.restore.pg_restore_errors import Complaints, told
from bootstrapper.errors import BackupError
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.target import Target
from bootstrapper.programs import runner

PROGRESS_SECONDS = 1.0

# With several connections a foreign key of a partitioned table may come before the rows of its partitions, and they
# before the grants that their check needs: pg_restore knows no order between those. Between its sections there is one.
_SECTIONS = ("pre-data", "data", "post-data")
_SETTINGS = "SELECT name FROM pg_catalog.pg_settings"
_SIZE = "SELECT pg_catalog.pg_database_size(%s::name)"


def known_settings(connection: Connection[Any]) -> frozenset[str]:
    """The names of the server's settings."""
    return frozenset(name for (name,) in connection.execute(_SETTINGS).fetchall())


def fill(
    reader: Reader,
    target: Target,
    connection: Connection[Any],
    *,
    on_tick: Callable[[], None],
    jobs: int = 1,
    options: Sequence[str] = (),
) -> None:
    """Reads the whole dump into the target's database, which is empty and stays useless where this raises.

    Args:
        connection: To the server, for what settings it knows.
        jobs: How many connections work at once; only one for a plain dump.
        options: More of pg_restore's.

    Raises:
        BackupError: pg_restore reported errors, how few ever, or the dump was changed after it had been found good.
        ClientToolsError: There is no pg_restore for it.
    """
    known = known_settings(connection)
    with reader.sealed():
        if reader.chosen.format == "plain":
            psql.play(psql.known_only(psql.of_file(reader.chosen.path), known), reader, target, on_tick=on_tick)
            return
        for section in _SECTIONS if jobs > 1 else ("",):
            own = [f"--section={section}", f"--jobs={jobs}"] if section else []
            _restore(reader, target, [*own, *options], known, on_tick)


def _restore(
    reader: Reader, target: Target, options: Sequence[str], known: frozenset[str], on_tick: Callable[[], None]
) -> None:
    complaints = Complaints(known)
    command = _command(reader, target, options)
    ended = reader.run(command, target=target, on_line=complaints.feed, on_tick=on_tick)
    errors = complaints.errors
    if errors:
        headline, *details = reader.mask(told(errors)).split("\n  ")  # no line of a program holds a line break
        raise BackupError(headline, details=details)
    if not _is_well(ended, complaints):
        raise reader.failure(command, ended)


def rehearse(reader: Reader, target: Target) -> list[str]:
    """Makes the objects of an archive without any rows, and gives the errors of that."""
    complaints = Complaints(())
    reader.run(_command(reader, target, ("--schema-only",)), target=target, on_line=complaints.feed)
    return complaints.errors


def _command(reader: Reader, target: Target, options: Sequence[str]) -> list[str]:
    program = reader.tools("pg_restore").program("pg_restore")
    return [str(program), "--no-password", f"--dbname={target.dbname}", *options, str(reader.chosen.path)]


def _is_well(ended: runner.Ended, complaints: Complaints) -> bool:
    """The exit code 1 may stand for nothing but settings that this server does not know."""
    return ended.code == 0 or (ended.code == 1 and bool(complaints.passed_over))


def growth(context: RunContext, outside: Connection[Any], name: str, total: int | None) -> Callable[[], None]:
    """Tells how large the database `name` is by now, and stops when the lock is lost."""
    next_at = time.monotonic() + PROGRESS_SECONDS

    def tick() -> None:
        nonlocal next_at
        if context.hold is not None:
            context.hold.require()
        if time.monotonic() >= next_at:
            next_at = time.monotonic() + PROGRESS_SECONDS
            row = outside.execute(_SIZE, (name,)).fetchone()
            done = int(row[0]) if row is not None and row[0] is not None else 0
            context.progress(done, max(total, done) if total is not None else None, "bytes")

    return tick
