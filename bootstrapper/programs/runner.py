"""Runs other programs so that none of them outlives its reason.

A program gets a process group of its own, which ends when the deadline passes, when the run is interrupted, and when
this very process is killed: a backup or a command that went on alone would meet the next run's.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bootstrapper.deadline import Deadline
from bootstrapper.programs.supervised import overseen

TAIL_LINES = 20
TICK_SECONDS = 0.1

_LONGEST_LINE = 64 * 1024


class OutOfTimeError(Exception):
    """The deadline passed; the program was killed. Never leaves the caller of `run`."""


@dataclass(frozen=True)
class Ended:
    """How a program ended: `code` as subprocess gives it, and the last lines it printed."""

    code: int
    last_lines: tuple[str, ...]

    @property
    def how(self) -> str:
        if self.code < 0:
            return f"was killed by signal {-self.code} ({signal.strsignal(-self.code)})"
        return f"ended with exit code {self.code}"


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    deadline: Deadline,
    folder: Path | None = None,
    stdin: int | None = None,
    stdout: int | None = None,
    keep_open: Sequence[int] = (),
    umask: int = -1,
    on_line: Callable[[str], None] = lambda line: None,
    on_tick: Callable[[], None] = lambda: None,
) -> Ended:
    """Runs a program to its end.

    Args:
        stdin: A file descriptor for its input, which is empty where there is none.
        stdout: A file descriptor for its output; None reads the lines of output and errors together.
        keep_open: Descriptors that it inherits beside those.
        umask: Of the program; below zero it keeps ours.
        on_line: Told each line as it comes.
        on_tick: Called about every TICK_SECONDS; what it raises ends the program.

    Raises:
        OutOfTimeError: The deadline passed.
        OSError: The program cannot be started.
    """
    into = (subprocess.PIPE, subprocess.STDOUT) if stdout is None else (stdout, subprocess.PIPE)
    with overseen(
        command,
        environment=environment,
        folder=folder,
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=into[0],
        stderr=into[1],
        keep_open=keep_open,
        umask=umask,
    ) as process:
        pipe = process.stdout if stdout is None else process.stderr
        assert pipe is not None
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        lines = _Lines(tail, on_line)
        for data in _output(process, pipe.fileno()):
            lines.feed(data)
            on_tick()
            if deadline.has_passed:
                raise OutOfTimeError
        lines.end()
    return Ended(process.returncode, tuple(tail))


class _Lines:
    """Cuts a stream of bytes into lines; of a line rewritten by carriage returns only the last text counts."""

    def __init__(self, tail: deque[str], tell: Callable[[str], None]) -> None:
        self._tail = tail
        self._tell = tell
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._pass_on(line)
        if len(self._rest) > _LONGEST_LINE:
            self.end()

    def end(self) -> None:
        if self._rest:
            self._pass_on(self._rest)
        self._rest = b""

    def _pass_on(self, line: bytes) -> None:
        text = line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
        self._tail.append(text)
        self._tell(text)


def _output(process: subprocess.Popen[bytes], pipe: int) -> Iterator[bytes]:
    """Pieces of output until the program has ended, empty ones while there is none.

    Ends with the program even where a grandchild keeps the pipe open.
    """
    os.set_blocking(pipe, False)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while process.poll() is None:
            if not selector.get_map():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(TICK_SECONDS)
                yield b""
                continue
            data = _read(pipe) if selector.select(TICK_SECONDS) else b""
            if data is None:
                selector.unregister(pipe)
            yield data or b""
    while data := _read(pipe):
        yield data


def _read(pipe: int) -> bytes | None:
    """What is there now; None at the end of the stream."""
    try:
        return os.read(pipe, 64 * 1024) or None
    except BlockingIOError:
        return b""
