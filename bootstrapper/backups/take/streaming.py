"""Reads a dump back while pg_dump writes it: from the growing file, or from a pipe on the way to a store.

A dump that is encrypted or stored remotely has no copy on disk:

pg_dump -> pipe -> _pump -> Decoder             reads it back
                         -> Encrypter -> Draft  the stored bytes, which the checksum is computed of
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bootstrapper.backups.client_programs import ClientRunner, in_background
from bootstrapper.backups.stores.manifest import Format
from bootstrapper.backups.stores.store import Draft
from bootstrapper.backups.take.encryption import Encrypter
from bootstrapper.backups.take.pg_dump import Client
from bootstrapper.backups.take.verify import PIECE, Decoder, decoding, read_contents, verify
from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import GIVE_LONGER, Deadline
from bootstrapper.errors import BackupError

TICK_SECONDS = 0.1
GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Stream:
    """A streamed backup."""

    client: Client
    format: Format
    encrypter: Encrypter | None
    runner: ClientRunner

    def send(self, draft: Draft, *, on_line: Callable[[str], None], on_tick: Callable[[], None]) -> str:
        """Dumps into the draft and returns the SHA-256 of the stored bytes.

        Raises BackupError if any part fails; all other parts have ended then.
        """
        reading, writing = os.pipe()
        stored = _Hashed(draft.write)
        with decoding(self.format, self.client.tools, self.runner) as decoder:
            pump = in_background(partial(_pump, reading, decoder, self.encrypter, stored))
            failure: BackupError | None = None
            try:
                self.runner.run(self.client.command, stdout=writing, on_line=on_line, on_tick=on_tick)
            except BackupError as error:
                failure = error
            except BaseException:
                os.close(writing)
                decoder.abandon()
                wait([pump], GRACE_SECONDS)
                raise
            os.close(writing)
            _await(pump, self.runner.deadline, on_tick)
            if failure is not None and pump.exception() is None:
                raise failure
            pump.result()  # if this raises, it is why pg_dump failed
            decoder.finish()
        return stored.digest

    def read_back(self, draft: Draft, expected: str) -> None:
        """Raises BackupError if the stored bytes are not those sent; decrypts and decodes them if there is a key."""
        source = HashedSource(draft.read(), self.runner.deadline, "reading the backup back")
        if self.encrypter is not None and self.encrypter.can_decrypt:
            with decoding(self.format, self.client.tools, self.runner) as decoder:
                self.encrypter.decrypt(source, decoder.write)
                decoder.finish()
        while source.read(PIECE):
            pass
        if source.digest != expected:
            raise BackupError("checksum mismatch after writing", hint="Check the disk and the network.")


def _await(pump: Future[None], deadline: Deadline, on_tick: Callable[[], None]) -> None:
    """Waits for a remote store, which may still be receiving the last pieces."""
    while not wait([pump], TICK_SECONDS).done:
        on_tick()
        if deadline.has_passed and not wait([pump], GRACE_SECONDS).done:
            raise BackupError("deadline exceeded while storing the backup", hint=GIVE_LONGER)


class _Hashed:
    """Passes bytes on and computes their checksum."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._state = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._write(data)
        self._state.update(data)

    @property
    def digest(self) -> str:
        return self._state.hexdigest()


class HashedSource:
    """A readable stream over pieces of any size, with the checksum of the pieces read.

    Raises BackupError when the deadline passes; `doing` says during what.
    """

    def __init__(self, pieces: Iterator[bytes], deadline: Deadline | None = None, doing: str = "") -> None:
        self._pieces = pieces
        self._deadline = deadline or Deadline.never()
        self._doing = doing
        self._rest = memoryview(b"")
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        if self._deadline.has_passed:
            raise BackupError(f"deadline exceeded while {self._doing}", hint=GIVE_LONGER)
        if not self._rest:
            piece = next(self._pieces, b"")
            self._hash.update(piece)
            self._rest = memoryview(piece)
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        return bytes(taken)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _pump(reading: int, decoder: Decoder, encrypter: Encrypter | None, stored: _Hashed) -> None:
    """Runs until the end of pg_dump's output. Closing the pipe after an error ends pg_dump."""

    def pieces() -> Iterator[bytes]:
        while piece := os.read(reading, PIECE):
            decoder.write(piece)
            yield piece

    try:
        if encrypter is None:
            for piece in pieces():
                stored.write(piece)
        else:
            encrypter.encrypt(HashedSource(pieces()), stored.write)
    finally:
        os.close(reading)


class Tail:
    """A custom dump that grows, with pg_restore reading behind pg_dump.

    pg_dump only appends, until at the end it writes into the table of contents where each table begins.
    """

    def __init__(self, path: Path, decoder: Decoder, client: Client, runner: ClientRunner) -> None:
        self._path = path
        self._decoder = decoder
        self._client = client
        self._runner = runner
        self._is_complete = threading.Event()
        self._follower = in_background(self._follow)

    def finish(self) -> None:
        """Called after pg_dump has ended; raises BackupError if its output cannot be read back completely."""
        self.stop()
        try:
            self._follower.result()
            self._decoder.finish()
        except BackupError:
            # A stream cannot be read out of order as a file can, so the file itself decides.
            verify(self._path, "custom", self._client.tools, self._runner)
        else:
            read_contents(self._path, self._client.tools, self._runner)

    def stop(self) -> None:
        """Called when nothing more will be written."""
        self._is_complete.set()
        self._follower.exception()

    def _follow(self) -> None:
        with self._path.open("rb", buffering=0) as file:
            while True:
                is_complete = self._is_complete.is_set()  # read before the end of the file
                if piece := file.read(PIECE):
                    self._decoder.write(piece)
                elif is_complete:
                    return
                else:
                    self._is_complete.wait(_POLL_SECONDS)


@contextmanager
def tailing(path: Path, client: Client, runner: ClientRunner) -> Iterator[Tail]:
    """Reads the file back while pg_dump writes it."""
    with decoding("custom", client.tools, runner) as decoder:
        tail = Tail(path, decoder, client, runner)
        try:
            yield tail
        except BaseException:
            decoder.abandon()  # which ends the follower too
            raise
        finally:
            tail.stop()
