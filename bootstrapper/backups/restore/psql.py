"""Plays SQL text through psql: all of it in one transaction, committed only after its very end."""

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
from bootstrapper.backups.restore.dump_reader import Reader
from bootstrapper.deadline import Deadline, Revocable
from bootstrapper.errors import BackupError, BootstrapperError
from bootstrapper.postgres.connection.target import Target

_PIECE = 1024 * 1024
_LONGEST_HEAD = 64 * 1024
# pg_dump and pg_restore write their SETs before anything else, and nothing between them but these.
_HEAD = re.compile(rb"\s*(--.*|\\restrict \w+|BEGIN;|SET \w+ = [^;]*;|SELECT pg_catalog\.set_config\([^;]*\);)?\r?\n")
_SET = re.compile(rb"SET (\w+) = ")
_CONNECT = re.compile(rb"\n\\c(onnect)?[ \t]")  # in the data of a table a backslash is doubled
# The last words of a dump, which a truncated one lacks.
END_MARKER = b"-- PostgreSQL database dump complete"
_END_BYTES = 512
_LAST_COMMIT = re.compile(rb"^COMMIT;\s*(?:(?:--[^\n]*|\\unrestrict \w+)?\s*)*\Z", re.MULTILINE)

_UNRESTRICT = re.compile(rb"(%s\n--\s+)\\unrestrict \w+\s*\Z" % END_MARKER)

Source = Callable[[], Iterator[bytes]]
"""Gives pieces of SQL text to their end; raises BackupError where that is not the whole."""


def of_file(path: Path) -> Source:
    """The text of a plain dump, which may not lead to another database than the one that it is read into."""

    def read() -> Iterator[bytes]:
        held = b""
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                if _CONNECT.search((held or b"\n") + piece):
                    told = "the dump connects to a database of its own choice, as those made with --create do"
                    raise BackupError(told, hint="Make it again without --create, or in custom format.")
                held += piece
                if len(held) > _END_BYTES:
                    yield held[:-_END_BYTES]
                    held = held[-_END_BYTES:]
        if END_MARKER not in held:
            raise BackupError("the dump is cut off: it does not end as pg_dump ends a dump")
        yield _UNRESTRICT.sub(rb"\1", held)

    return read


def of_program(command: Sequence[str], environment: Mapping[str, str]) -> Source:
    """What a program prints; pg_restore turns an archive into a script that way."""

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
    """The source without the SETs that the server does not know."""
    return lambda: without_unknown_settings(source(), known)


def without_unknown_settings(pieces: Iterable[bytes], known: Collection[str]) -> Iterator[bytes]:
    """The text without those SETs of its head that the server does not know; nothing behind the head is looked at."""
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
        return True  # of --single-transaction, and against orders to psql: the transaction and the token are ours
    found = _SET.match(line)
    return found is not None and found[1].decode() not in known


def after(text: bytes, source: Source) -> Source:
    """The text, then all of the source."""

    def read() -> Iterator[bytes]:
        yield from chain([text], source())

    return read


def within(around: Callable[[], AbstractContextManager[None]], source: Source) -> Source:
    """The source, read to its end inside of what is around it, which may raise BackupError then."""

    def read() -> Iterator[bytes]:
        with around():
            yield from source()

    return read


def without_commit(source: Source) -> Source:
    """The script of `pg_restore --single-transaction` without its COMMIT, which is its last statement.

    Raises BackupError where it does not end with that.
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
            raise BackupError("pg_restore did not write the dump as one transaction")
        yield held[: found.start()]

    return read


def play(
    source: Source,
    reader: Reader,
    target: Target,
    *,
    before: str = "",
    meanwhile: Callable[[Deadline], None] = lambda deadline: None,
    on_tick: Callable[[], None],
) -> None:
    """Runs `before` and the source's text in one transaction, and calls `meanwhile` between the two.

    `meanwhile` runs in another thread, and gets a deadline that passes as soon as psql has ended.

    COMMIT is the last thing that psql reads, and it reads it only where the source came to its proper end: half a
    script ends without it, and all is rolled back.

    The text is SQL and nothing else: it gives psql no order, which would be carried out on this machine.

    Raises BackupError with psql's words at the first error.
    """
    tools = reader.tools("psql")
    # The database is in a variable: a name may look like a connection string.
    options = ("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file=-")
    command = [str(tools.program("psql")), *options]
    reading, writing = os.pipe()
    deadline = reader.deadline.revocable()
    if psql_metacommands.are_restricted_by(tools):
        before = f"\\restrict {secrets.token_hex(32)}\n{before}"
    else:
        source = _scanned(source)
    feeder = _Feeder(source, writing, before, partial(meanwhile, deadline))
    with _started(feeder, reading, deadline):
        ended = reader.run(command, target=target, stdin=reading, on_tick=on_tick)
        cause = feeder.error  # what comes after this only follows from the end of psql
    if cause is not None:
        raise cause
    if ended.code != 0 or not feeder.is_done:
        raise reader.failure(command, ended)


def _scanned(source: Source) -> Source:
    return lambda: psql_metacommands.require_none(source())


class _Feeder(threading.Thread):
    """Writes the script into psql's input."""

    def __init__(self, source: Source, descriptor: int, before: str, meanwhile: Callable[[], None]) -> None:
        super().__init__(name="bootstrapper-feeder", daemon=True)
        self._source = source
        self._descriptor = descriptor
        self._before = before
        self._meanwhile = meanwhile
        self.error: BootstrapperError | None = None
        self.is_done = False

    def run(self) -> None:
        with suppress(BrokenPipeError), os.fdopen(self._descriptor, "wb") as pipe:  # psql says why it stopped
            try:
                self._write(pipe)
            except BrokenPipeError:
                raise
            except BootstrapperError as error:
                self.error = error
            except psycopg.Error as error:
                self.error = BackupError(f"the connection was lost: {str(error).partition(chr(10))[0]}")
            except OSError as error:
                self.error = BackupError(f"the dump can not be read: {error.strerror or error}")

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
    """Without a reader the feeder's writes fail, and its deadline passes: whatever happened to psql, both end it."""
    feeder.start()
    try:
        yield
    finally:
        deadline.revoke()
        with suppress(OSError):
            os.close(reading)
        feeder.join()
