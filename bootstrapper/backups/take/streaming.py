"""A dump that is sent on while it is made: read back, encrypted and stored piece by piece, with no copy on disk.

pg_dump -> pipe -> _pump -> Decoder            reads it back
                         -> Encrypter -> Draft what is stored, which its checksum is of
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial

from bootstrapper.backups.client_programs import Runner, in_background
from bootstrapper.backups.stores.manifest import Format
from bootstrapper.backups.stores.store import Draft
from bootstrapper.backups.take.encryption import Encrypter
from bootstrapper.backups.take.pg_dump import Client
from bootstrapper.backups.take.verify import PIECE, Decoder, decoding
from bootstrapper.deadline import GIVE_LONGER, Deadline
from bootstrapper.errors import BackupError

TICK_SECONDS = 0.1
GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Stream:
    """What the parts of one streamed backup have in common."""

    client: Client
    format: Format
    encrypter: Encrypter | None
    runner: Runner

    def send(self, draft: Draft, *, on_line: Callable[[str], None], on_tick: Callable[[], None]) -> str:
        """Dumps into the draft, and gives the SHA-256 of what was written there.

        Raises BackupError where any part of it fails; then all the others have ended.
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
            pump.result()  # where this raises, the end of pg_dump only followed from it
            decoder.finish()
        return stored.digest

    def read_back(self, draft: Draft, expected: str) -> None:
        """What is stored is what was sent; raises BackupError otherwise. Decrypted and decoded where there is a key."""
        source = _Source(draft.read())
        if self.encrypter is not None and self.encrypter.can_decrypt:
            with decoding(self.format, self.client.tools, self.runner) as decoder:
                self.encrypter.decrypt(source, decoder.write)
                decoder.finish()
        while source.read(PIECE):
            if self.runner.deadline.has_passed:
                raise BackupError("there was no time left to read the backup back")
        if source.digest != expected:
            hint = "Look for a failing disk or network."
            raise BackupError("what is stored differs from what was written", hint=hint)


def _await(pump: Future[None], deadline: Deadline, on_tick: Callable[[], None]) -> None:
    """A remote place may still be taking the last pieces."""
    while not wait([pump], TICK_SECONDS).done:
        on_tick()
        if deadline.has_passed and not wait([pump], GRACE_SECONDS).done:
            raise BackupError("the backup was not stored in time", hint=GIVE_LONGER)


class _Hashed:
    """Passes on, and keeps the checksum of all that went by."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._state = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._write(data)
        self._state.update(data)

    @property
    def digest(self) -> str:
        return self._state.hexdigest()


class _Source:
    """A stream in pieces of its own size, read in pieces of any size."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._state = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            piece = next(self._pieces, b"")
            self._state.update(piece)
            self._rest = memoryview(piece)
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        return bytes(taken)

    @property
    def digest(self) -> str:
        return self._state.hexdigest()


def _pump(reading: int, decoder: Decoder, encrypter: Encrypter | None, stored: _Hashed) -> None:
    """Until the end of pg_dump's output. Closing the pipe on an error ends pg_dump."""

    def pieces() -> Iterator[bytes]:
        while piece := os.read(reading, PIECE):
            decoder.write(piece)
            yield piece

    try:
        if encrypter is None:
            for piece in pieces():
                stored.write(piece)
        else:
            encrypter.encrypt(_Source(pieces()), stored.write)
    finally:
        os.close(reading)
