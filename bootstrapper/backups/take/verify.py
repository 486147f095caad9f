"""Reads a dump back completely: nothing less finds a truncated or corrupted one.

`pg_restore --list` reads no data, and pg_dump itself has exited with 0 on a full disk.
"""

from __future__ import annotations

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootstrapper.backups.client_programs import ClientRunner, in_background
from bootstrapper.backups.stores.atomic_files import write_all
from bootstrapper.backups.stores.manifest import Format
from bootstrapper.deadline import GIVE_LONGER, Deadline
from bootstrapper.errors import BackupError
from bootstrapper.postgres.server.clienttools import ClientTools

PIECE = 1024 * 1024

# Newer versions write a \unrestrict line after it.
_END_MARKER = re.compile(rb"\n--\n-- PostgreSQL database dump complete\n--\n+(\\unrestrict \w+\n+)?\Z")
_END_BYTES = 512


def verify(path: Path, format_: Format, tools: ClientTools, runner: ClientRunner) -> None:
    """Reads a dump back completely; raises BackupError if it cannot be read."""
    if format_ == "plain":
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _END_BYTES))
            _require_end_marker(file.read())
        return
    with _as_unreadable():
        runner.run([*_decoding(tools), str(path)])


def read_contents(path: Path, tools: ClientTools, runner: ClientRunner) -> None:
    """Reads the table of contents only; raises BackupError if it cannot be read."""
    with _as_unreadable():
        runner.run([*_decoding(tools), "--list", str(path)])


def checksum(path: Path, deadline: Deadline) -> str:
    """Returns the SHA-256 of a dump in hexadecimal; for a directory, as Manifest.sha256 describes."""
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
                raise BackupError("deadline exceeded while computing the checksum", hint=GIVE_LONGER)
    return digest.hexdigest()


class Decoder(ABC):
    """Reads a dump back from a stream."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Accepts the next bytes; does not raise, whatever they contain."""

    @abstractmethod
    def finish(self) -> None:
        """Ends the stream; raises BackupError if the dump cannot be read back."""

    @abstractmethod
    def abandon(self) -> None:
        """Stops reading because the result is no longer needed; does not wait."""

    @abstractmethod
    def close(self) -> None:
        """Ends the stream, complete or not, and waits until everything it started has ended."""


@contextmanager
def decoding(format_: Format, tools: ClientTools, runner: ClientRunner) -> Iterator[Decoder]:
    """Yields the decoder for this format; nothing of it is left running afterwards."""
    decoder = _EndDecoder() if format_ == "plain" else _RestoreDecoder(tools, runner)
    try:
        yield decoder
    except BaseException:
        decoder.abandon()
        raise
    finally:
        decoder.close()


class _EndDecoder(Decoder):
    """Checks a plain dump, which can only be recognised by its end."""

    def __init__(self) -> None:
        self._end = b""

    def write(self, data: bytes) -> None:
        self._end = (self._end + data)[-_END_BYTES:] if len(data) < _END_BYTES else data[-_END_BYTES:]

    def finish(self) -> None:
        _require_end_marker(self._end)

    def abandon(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class _RestoreDecoder(Decoder):
    """Runs pg_restore, which reads an archive in the order in which pg_dump wrote it."""

    def __init__(self, tools: ClientTools, runner: ClientRunner) -> None:
        reading, self._writing = os.pipe()
        self._is_open = self._is_listening = True
        self._is_abandoned = False

        def run() -> None:
            try:
                runner.run(_decoding(tools), stdin=reading, on_tick=self._require_not_abandoned)
            finally:
                os.close(reading)

        self._result = in_background(run)

    def write(self, data: bytes) -> None:
        try:
            if self._is_listening:
                write_all(self._writing, data)
        except BrokenPipeError:
            self._is_listening = False  # its exit code tells whether it had read enough

    def finish(self) -> None:
        self._end_input()
        with _as_unreadable():
            self._result.result()

    def abandon(self) -> None:
        self._is_abandoned = True

    def close(self) -> None:
        self._end_input()
        self._result.exception()

    def _require_not_abandoned(self) -> None:
        if self._is_abandoned:
            raise BackupError("the dump was abandoned")

    def _end_input(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._writing)


def _decoding(tools: ClientTools) -> list[str]:
    return [str(tools.program("pg_restore")), "--file=/dev/null"]


@contextmanager
def _as_unreadable() -> Iterator[None]:
    try:
        yield
    except BackupError as error:
        raise BackupError(
            f"cannot read the dump back: {error.reason}", hint=error.hint, details=error.details
        ) from error


def _require_end_marker(end: bytes) -> None:
    if not _END_MARKER.search(end):
        raise BackupError("the dump is truncated: the end marker of pg_dump is missing", hint="Check for a full disk.")
