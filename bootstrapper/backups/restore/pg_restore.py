"""Restores a dump into an empty database, by pg_restore or psql."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection

from bootstrapper.backups.restore import psql
from bootstrapper.backups.restore.dump_reader import DumpReader
from bootstrapper.errors import BackupError
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.target import Target

PROGRESS_SECONDS = 1.0

# pg_restore with several jobs may create a foreign key of a partitioned table before the rows of its partitions, and
# insert these before the grants that their check needs. Its sections are in order.
_SECTIONS = ("pre-data", "data", "post-data")
_SETTINGS = "SELECT name FROM pg_catalog.pg_settings"
_SIZE = "SELECT pg_catalog.pg_database_size(%s::name)"


def known_settings(connection: Connection[Any]) -> frozenset[str]:
    """Returns the names of the server's settings."""
    return frozenset(name for (name,) in connection.execute(_SETTINGS).fetchall())


def fill(
    reader: DumpReader,
    target: Target,
    connection: Connection[Any],
    *,
    on_tick: Callable[[], None],
    jobs: int = 1,
    options: Sequence[str] = (),
) -> None:
    """Restores the whole dump into the target's empty database, which is unusable if this raises.

    Args:
        connection: A connection to the server, to read its settings.
        jobs: The number of concurrent connections; 1 for a plain dump.
        options: More options of pg_restore.

    Raises:
        BackupError: pg_restore reported an error, or the dump was changed after it had been verified.
        ClientToolsError: There is no pg_restore for the dump.
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
    reader: DumpReader, target: Target, options: Sequence[str], known: frozenset[str], on_tick: Callable[[], None]
) -> None:
    restore_errors = RestoreErrors(known)
    command = _command(reader, target, options)
    runner = reader.runner(target)
    ended = runner.run(command, on_line=restore_errors.feed, on_tick=on_tick, check=False)
    errors = restore_errors.errors
    if errors:
        headline, *details = reader.mask(summary(errors)).split("\n  ")  # a line of a program contains no line break
        raise BackupError(headline, details=details)
    # The exit code 1 may mean nothing but settings that this server does not know.
    if not (ended.code == 0 or (ended.code == 1 and restore_errors.ignored)):
        raise runner.failure(command, ended)


def rehearse(reader: DumpReader, target: Target) -> list[str]:
    """Restores the objects of an archive without rows, and returns the errors."""
    restore_errors = RestoreErrors(())
    command = _command(reader, target, ("--schema-only",))
    reader.runner(target).run(command, on_line=restore_errors.feed, check=False)
    return restore_errors.errors


def _command(reader: DumpReader, target: Target, options: Sequence[str]) -> list[str]:
    program = reader.tools("pg_restore").program("pg_restore")
    return [str(program), "--no-password", f"--dbname={target.dbname}", *options, str(reader.chosen.path)]


def growth(context: RunContext, outside: Connection[Any], name: str, total: int | None) -> Callable[[], None]:
    """Returns a function that reports the size of database `name`, and raises when the lock is lost."""
    next_at = time.monotonic() + PROGRESS_SECONDS

    def tick() -> None:
        nonlocal next_at
        context.require_not_fenced_off()
        if time.monotonic() >= next_at:
            next_at = time.monotonic() + PROGRESS_SECONDS
            row = outside.execute(_SIZE, (name,)).fetchone()
            done = int(row[0]) if row is not None and row[0] is not None else 0
            context.progress(done, max(total, done) if total is not None else None, "bytes")

    return tick


_SHOWN = 5
_ERROR = "pg_restore: error: "
_OTHER = "pg_restore: "
# At the beginning of every script, for any server: https://www.postgresql.org/docs/current/app-pgdump.html
_SET = re.compile(r"Command was: SET (\w+) = [^;']*;")


@dataclass
class RestoreErrors:
    """Collects the errors in the output of pg_restore (LC_ALL=C); the server's messages may be in any language.

    Attributes:
        known: The settings that the server has. A failed SET of any other one, by a newer pg_restore, is ignored.
        ignored: The names of these settings.
    """

    known: Collection[str]
    ignored: list[str] = field(default_factory=list)
    _errors: list[list[str]] = field(default_factory=list)
    _is_open: bool = False

    def feed(self, line: str) -> None:
        if line.startswith(_ERROR):
            self._errors.append([line.removeprefix(_ERROR)])
            self._is_open = True
        elif line.startswith(_OTHER):
            self._is_open = False
        elif self._is_open and line.strip():
            self._errors[-1].append(line)

    @property
    def errors(self) -> list[str]:
        """All errors that are not ignored, each in one text."""
        self.ignored = [name for each in self._errors if (name := self._unknown_setting(each)) is not None]
        return ["\n    ".join(each) for each in self._errors if self._unknown_setting(each) is None]

    def _unknown_setting(self, lines: list[str]) -> str | None:
        matches = [match[1] for line in lines if (match := _SET.fullmatch(line))]
        return matches[0] if matches and matches[0] not in self.known else None


def summary(errors: list[str]) -> str:
    """Returns the number of errors, and the first of them."""
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    more = [f"and {len(errors) - _SHOWN} more"] if len(errors) > _SHOWN else []
    return "\n  ".join([f"pg_restore reported {count}:", *errors[:_SHOWN], *more])
