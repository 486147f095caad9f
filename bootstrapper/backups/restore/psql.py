"""Runs a script through psql in one transaction, which is committed only if the script is complete."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import psycopg

from bootstrapper.backups.restore import psql_metacommands
from bootstrapper.backups.restore.dump_reader import DumpReader
from bootstrapper.deadline import Deadline, Revocable
from bootstrapper.errors import BackupError, BootstrapperError
from bootstrapper.postgres.connection.target import Target

_PIECE = 1024 * 1024
_LONGEST_HEAD = 64 * 1024
# pg_dump and pg_restore write their SETs first, with nothing but these between them.
_HEAD = re.compile(rb"\s*(--.*|\\restrict \w+|BEGIN;|SET \w+ = [^;]*;|SELECT pg_catalog\.set_config\([^;]*\);)?\r?\n")
_SET = re.compile(rb"SET (\w+) = ")
_CONNECT = re.compile(rb"\n\\c(onnect)?[ \t]")  # in table data a backslash is doubled
# The end of a dump, which a truncated one lacks.
END_MARKER = b"-- PostgreSQL database dump complete"
_END_BYTES = 512
_LAST_COMMIT = re.compile(rb"^COMMIT;\s*(?:(?:--[^\n]*|\\unrestrict \w+)?\s*)*\Z", re.MULTILINE)

_UNRESTRICT = re.compile(rb"(%s\n--\s+)\\unrestrict \w+\s*\Z" % END_MARKER)

Source = Callable[[], Iterator[bytes]]
"""Yields a script in pieces; raises BackupError if it is incomplete."""


def of_file(path: Path) -> Source:
    """Reads a plain dump, which must not connect to another database."""

    def read() -> Iterator[bytes]:
        held = b""
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                if _CONNECT.search((held or b"\n") + piece):
                    told = "the dump connects to another database, as dumps made with --create do"
                    raise BackupError(told, hint="Dump again without --create, or in custom format.")
                held += piece
                if len(held) > _END_BYTES:
                    yield held[:-_END_BYTES]
                    held = held[-_END_BYTES:]
        if END_MARKER not in held:
            raise BackupError("the dump is truncated: the end marker of pg_dump is missing")
        yield _UNRESTRICT.sub(rb"\1", held)

    return read


def of_program(command: Sequence[str], environment: Mapping[str, str]) -> Source:
    """Reads the output of a program, such as pg_restore, which turns an archive into a script."""

    def read() -> Iterator[bytes]:
        with subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
        ) as process:
            assert process.stdout is not None
            while piece := process.stdout.read(_PIECE):
                yield piece
        if process.returncode != 0:
            raise BackupError(f"{Path(command[0]).name} ended with exit code {process.returncode}")

    return read


def known_only(source: Source, known: Collection[str]) -> Source:
    """Removes the SETs that the server does not know."""
    return lambda: without_unknown_settings(source(), known)


def without_unknown_settings(pieces: Iterable[bytes], known: Collection[str]) -> Iterator[bytes]:
    """Removes the SETs at the beginning of a script that the server does not know; leaves the rest unread."""
    head, is_over = b"", False
    for piece in pieces:
        if is_over:
            yield piece
            continue
        head += piece
        while (match := _HEAD.match(head)) is not None:
            yield head[: match.start(1)] if _is_unknown(match[1], known) else match[0]
            head = head[match.end() :]
        if b"\n" in head or len(head) > _LONGEST_HEAD:
            is_over = True
            yield head
    if not is_over:
        yield head


def _is_unknown(line: bytes | None, known: Collection[str]) -> bool:
    if line is None:
        return False
    if line == b"BEGIN;" or line.startswith(b"\\restrict "):
        return True  # the transaction and the token are our own
    found = _SET.match(line)
    return found is not None and found[1].decode() not in known


def after(text: bytes, source: Source) -> Source:
    """Reads the text, then the source."""

    def read() -> Iterator[bytes]:
        yield from chain([text], source())

    return read


def within(around: Callable[[], AbstractContextManager[None]], source: Source) -> Source:
    """Reads the source within a context, which may raise BackupError at the end."""

    def read() -> Iterator[bytes]:
        with around():
            yield from source()

    return read


def without_commit(source: Source) -> Source:
    """Removes the COMMIT at the end of a script of `pg_restore --single-transaction`.

    Raises BackupError if the script does not end with COMMIT.
    """

    def read() -> Iterator[bytes]:
        held = b""
        for piece in source():
            held += piece
            if len(held) > _END_BYTES:
                yield held[:-_END_BYTES]
                held = held[-_END_BYTES:]
        found = _LAST_COMMIT.search(held)
        if found is None:
            raise BackupError("the script of pg_restore is not one transaction")
        yield held[: found.start()]

    return read


def play(
    source: Source,
    reader: DumpReader,
    target: Target,
    *,
    before: str = "",
    meanwhile: Callable[[Deadline], None] = lambda deadline: None,
    on_tick: Callable[[], None],
) -> None:
    """Runs `before` and the source in one transaction, and calls `meanwhile` between the two.

    `meanwhile` runs in another thread, and gets a deadline that passes as soon as psql has ended.

    psql reads COMMIT last, and only if the source is complete: an incomplete script is rolled back.

    The source cannot contain meta-commands of psql, which would run on this machine.

    Raises BackupError with psql's output at the first error.
    """
    tools = reader.tools("psql")
    # The database is in the environment: a name may look like a connection string.
    options = ("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file=-")
    command = [str(tools.program("psql")), *options]
    runner = reader.runner(target)
    reading, writing = os.pipe()
    deadline = reader.deadline.revocable()
    if psql_metacommands.are_restricted_by(tools):
        before = f"\\restrict {secrets.token_hex(32)}\n{before}"
    else:
        source = _scanned(source)
    feeder = _Feeder(source, writing, before, partial(meanwhile, deadline))
    with _started(feeder, reading, deadline):
        ended = runner.run(command, stdin=reading, on_tick=on_tick, check=False)
        cause = feeder.error  # later errors are consequences of the end of psql
    if cause is not None:
        raise cause
    if ended.code != 0 or not feeder.is_done:
        raise runner.failure(command, ended)


def _scanned(source: Source) -> Source:
    return lambda: psql_metacommands.require_none(source())


class _Feeder(threading.Thread):
    """Writes the script to psql's standard input."""

    def __init__(self, source: Source, descriptor: int, before: str, meanwhile: Callable[[], None]) -> None:
        super().__init__(name="bootstrapper-feeder", daemon=True)
        self._source = source
        self._descriptor = descriptor
        self._before = before
        self._meanwhile = meanwhile
        self.error: BootstrapperError | None = None
        self.is_done = False

    def run(self) -> None:
        with suppress(BrokenPipeError), os.fdopen(self._descriptor, "wb") as pipe:  # psql printed why it stopped
            try:
                self._write(pipe)
            except BrokenPipeError:
                raise
            except BootstrapperError as error:
                self.error = error
            except psycopg.Error as error:
                self.error = BackupError(f"the connection was lost: {str(error).partition(chr(10))[0]}")
            except OSError as error:
                self.error = BackupError(f"cannot read the dump: {error.strerror or error}")

    def _write(self, pipe: BinaryIO) -> None:
        pipe.write(b"BEGIN;\n" + self._before.encode() + b"\n")
        pipe.flush()
        self._meanwhile()
        for piece in self._source():
            pipe.write(piece)
        pipe.write(b"\nCOMMIT;\n")
        pipe.flush()
        self.is_done = True


@contextmanager
def _started(feeder: _Feeder, reading: int, deadline: Revocable) -> Iterator[None]:
    """Starts the feeder, and ends it however psql ended: its writes fail, and its deadline passes."""
    feeder.start()
    try:
        yield
    finally:
        deadline.revoke()
        with suppress(OSError):
            os.close(reading)
        feeder.join()
