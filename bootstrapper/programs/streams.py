"""The pipes of a running program, and the lines that come through them."""

from __future__ import annotations

import fcntl
import os
import selectors
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

TICK_SECONDS = 0.1

_FIRST = 3


def pipe() -> tuple[int, int]:
    """Returns a pipe as os.pipe does, with neither end among the standard descriptors, which a program has replaced.

    If this process was started with one of those closed, os.pipe reuses its number.
    """
    reading, writing = os.pipe()
    try:
        reader = fcntl.fcntl(reading, fcntl.F_DUPFD_CLOEXEC, _FIRST)
        try:
            return reader, fcntl.fcntl(writing, fcntl.F_DUPFD_CLOEXEC, _FIRST)
        except OSError:
            os.close(reader)
            raise
    finally:
        os.close(reading)
        os.close(writing)


def read_until_exit(
    process: subprocess.Popen[bytes], *pipes: int, pause_seconds: float = 0.0
) -> Iterator[tuple[int, bytes]]:
    """Yields the pieces that come through the pipes, each with its pipe, until the program has ended.

    Yields an empty piece about every TICK_SECONDS in which nothing comes. Ends with the program even if a grandchild
    keeps a pipe open.

    Args:
        pause_seconds: A pause after each reading, so that a program that says little at a time wakes us less often.
    """
    with selectors.DefaultSelector() as selector:
        for each in pipes:
            os.set_blocking(each, False)
            selector.register(each, selectors.EVENT_READ)
        while process.poll() is None:
            ready = selector.select(TICK_SECONDS) if selector.get_map() else []
            if not selector.get_map():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(TICK_SECONDS)
            if not ready:
                yield pipes[0], b""
            for key, _ in ready:
                data = _read(key.fd)
                if data is None:
                    selector.unregister(key.fd)
                yield key.fd, data or b""
            if ready and pause_seconds:
                time.sleep(pause_seconds)
    for each in pipes:
        while data := _read(each):
            yield each, data


def _read(descriptor: int) -> bytes | None:
    """Returns what can be read now; None at the end of the stream."""
    try:
        return os.read(descriptor, 64 * 1024) or None
    except BlockingIOError:
        return b""


class Lines:
    """Splits a stream of bytes into lines; of a line rewritten by carriage returns only the last text counts.

    Args:
        longest: The length in bytes after which an unfinished line is cut; None for no limit.
    """

    def __init__(self, longest: int | None = 64 * 1024) -> None:
        self._longest = longest
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Returns the lines that these bytes complete."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        lines = [_text(line) for line in whole]
        if self._longest is not None and len(self._rest) > self._longest:
            lines += self.rest()
        return lines

    def rest(self) -> list[str]:
        """Returns the unfinished line, if there is one."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
