"""Reads a dump back while pg_dump still writes it: on a second core, that takes next to no time of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootstrapper.backups.client_programs import Runner, in_background
from bootstrapper.backups.take.pg_dump import Client
from bootstrapper.backups.take.verify import PIECE, Decoder, decoding, read_contents, verify
from bootstrapper.errors import BackupError

_POLL_SECONDS = 0.02


class Tail:
    """A custom dump that grows, and pg_restore behind it.

    pg_dump only ever appends, until at its end it notes in the table of contents where each table begins.
    """

    def __init__(self, path: Path, decoder: Decoder, client: Client, runner: Runner) -> None:
        self._path = path
        self._decoder = decoder
        self._client = client
        self._runner = runner
        self._is_complete = threading.Event()
        self._follower = in_background(self._follow)

    def finish(self) -> None:
        """pg_dump has ended; raises BackupError where what it wrote can not be read back whole."""
        self.stop()
        try:
            self._follower.result()
            self._decoder.finish()
        except BackupError:
            # A stream can not be read out of order, as a file can: only the file itself says no for good.
            verify(
                self._path,
                "custom",
                self._client.tools,
                environment=self._runner.environment,
                deadline=self._runner.deadline,
                mask=self._runner.mask,
            )
        else:
            read_contents(self._path, self._client.tools, self._runner)

    def stop(self) -> None:
        """Nothing more will be written."""
        self._is_complete.set()
        self._follower.exception()

    def _follow(self) -> None:
        with self._path.open("rb", buffering=0) as file:
            while True:
                is_complete = self._is_complete.is_set()  # asked before the end is looked for
                if piece := file.read(PIECE):
                    self._decoder.write(piece)
                elif is_complete:
                    return
                else:
                    self._is_complete.wait(_POLL_SECONDS)


@contextmanager
def tailing(path: Path, client: Client, runner: Runner) -> Iterator[Tail]:
    """Around pg_dump, which writes the file."""
    with decoding("custom", client.tools, runner) as decoder:
        tail = Tail(path, decoder, client, runner)
        try:
            yield tail
        except BaseException:
            decoder.abandon()  # what waits for it ends too
            raise
        finally:
            tail.stop()
