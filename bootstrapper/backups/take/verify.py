"""Reads back what was dumped: whole, since nothing less finds what is cut off or flipped.

`pg_restore --list` reads no data, and on a full disk pg_dump itself answered that all went well.
"""

from __future__ import annotations

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bootstrapper.backups.client_programs import Runner, in_background
from bootstrapper.backups.stores.atomic_files import write_all
from bootstrapper.backups.stores.manifest import Format
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError
from bootstrapper.postgres.server.clienttools import ClientTools

PIECE = 1024 * 1024

# Newer versions put a \unrestrict line after it.
_END_MARKER = re.compile(rb"\n--\n-- PostgreSQL database dump complete\n--\n+(\\unrestrict \w+\n+)?\Z")
_END_BYTES = 512


def verify(
    path: Path,
    format_: Format,
    tools: ClientTools,
    *,
    environment: Mapping[str, str],
    deadline: Deadline,
    mask: Callable[[str], str],
) -> None:
    """Reads a dump back whole; raises BackupError where that does not work."""
    if format_ == "plain":
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _END_BYTES))
            _require_end_marker(file.read())
        return
    with _told_as_unreadable():
        Runner(environment, deadline, mask).run([*_decoding(tools), str(path)])


def read_contents(path: Path, tools: ClientTools, runner: Runner) -> None:
    """Reads the table of contents alone; raises BackupError where that does not work."""
    with _told_as_unreadable():
        runner.run([*_decoding(tools), "--list", str(path)])


def checksum(path: Path, deadline: Deadline) -> str:
    """SHA-256 of a dump as hexadecimal text; the manifest says what that is for a directory."""
    if not path.is_dir():
        return _checksum(path, deadline)
    lines = [f"{_checksum(file, deadline)}  {file.name}\n" for file in sorted(path.iterdir())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _checksum(path: Path, deadline: Deadline) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            if deadline.has_passed:
                raise BackupError("there was no time left to compute the checksum")
    return digest.hexdigest()


class Decoder(ABC):
    """Reads a dump back while it goes by."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Takes the next bytes; never raises for what is in them."""

    @abstractmethod
    def finish(self) -> None:
        """The dump is at its end; raises BackupError where what went by can not be read back."""

    @abstractmethod
    def abandon(self) -> None:
        """Nobody wants its answer any more: ends it, without waiting for that."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more will come, be it at its end or not; waits until nothing is left of it."""


@contextmanager
def decoding(format_: Format, tools: ClientTools, runner: Runner) -> Iterator[Decoder]:
    """What reads a streamed dump back; nothing of it is left running afterwards."""
    decoder = _EndDecoder() if format_ == "plain" else _RestoreDecoder(tools, runner)
    try:
        yield decoder
    except BaseException:
        decoder.abandon()
        raise
    finally:
        decoder.close()


class _EndDecoder(Decoder):
    """A plain dump can only be told by its end."""

    def __init__(self) -> None:
        self._end = b""

    def write(self, data: bytes) -> None:
        self._end = (self._end + data)[-_END_BYTES:] if len(data) < _END_BYTES else data[-_END_BYTES:]

    def finish(self) -> None:
        _require_end_marker(self._end)

    def abandon(self) -> None:
        """There is nothing to end."""

    def close(self) -> None:
        """Nor is there anything to wait for."""


class _RestoreDecoder(Decoder):
    """pg_restore, which reads an archive in the order in which pg_dump wrote it."""

    def __init__(self, tools: ClientTools, runner: Runner) -> None:
        reading, self._writing = os.pipe()
        self._is_open = self._is_listening = True
        self._is_abandoned = False

        def run() -> None:
            try:
                runner.run(_decoding(tools), stdin=reading, on_tick=self._require_wanted)
            finally:
                os.close(reading)

        self._result = in_background(run)

    def write(self, data: bytes) -> None:
        try:
            if self._is_listening:
                write_all(self._writing, data)
        except BrokenPipeError:
            self._is_listening = False  # its exit code says whether it had read all that it needs

    def finish(self) -> None:
        self._end_input()
        with _told_as_unreadable():
            self._result.result()

    def abandon(self) -> None:
        self._is_abandoned = True

    def close(self) -> None:
        self._end_input()
        self._result.exception()

    def _require_wanted(self) -> None:
        if self._is_abandoned:
            raise BackupError("the dump was given up")

    def _end_input(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._writing)


def _decoding(tools: ClientTools) -> list[str]:
    return [str(tools.program("pg_restore")), "--file=/dev/null"]


@contextmanager
def _told_as_unreadable() -> Iterator[None]:
    try:
        yield
    except BackupError as error:
        raise BackupError(
            f"the dump can not be read back: {error.reason}", hint=error.hint, details=error.details
        ) from error


def _require_end_marker(end: bytes) -> None:
    if not _END_MARKER.search(end):
        raise BackupError("the dump is cut off: it does not end as pg_dump ends a dump", hint="Look for a full disk.")
