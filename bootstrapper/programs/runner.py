"""Runs programs that end with the run.

A program gets a process group of its own, which is ended when the deadline passes, when the run is interrupted, and
when this process is killed: a backup or command that continued alone would collide with that of the next run.
"""

from __future__ import annotations

import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.programs.streams import Lines, read_until_exit
from bootstrapper.programs.supervised import end_group, supervised

TAIL_LINES = 20


class OutOfTimeError(Exception):
    """The deadline passed and the program was killed. The caller of `run` turns it into an error of its own."""


@dataclass(frozen=True)
class Ended:
    """How a program ended: `code` as of subprocess, and the last lines it printed."""

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
        stdin: A file descriptor for its input; None for an empty one.
        stdout: A file descriptor for its output; None reads the lines of output and errors together.
        keep_open: Other descriptors that it inherits.
        umask: That of the program; a negative one leaves ours.
        on_line: Called with each line as it comes.
        on_tick: Called about every TICK_SECONDS; an exception ends the program.

    Raises:
        OutOfTimeError: The deadline passed.
        OSError: The program cannot be started.
    """
    into = (subprocess.PIPE, subprocess.STDOUT) if stdout is None else (stdout, subprocess.PIPE)
    with supervised(
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
        lines = Lines()

        def pass_on(found: Sequence[str]) -> None:
            for line in found:
                tail.append(line)
                on_line(line)

        for _, data in read_until_exit(process, pipe.fileno()):
            pass_on(lines.feed(data))
            on_tick()
            if deadline.has_passed:
                raise OutOfTimeError
        pass_on(lines.rest())
    return Ended(process.returncode, tuple(tail))


def output(
    command: Sequence[str], *, environment: Mapping[str, str], deadline: Deadline, folder: Path, longest: int
) -> tuple[Ended, bytes]:
    """Runs a program to its end and returns what it printed; `last_lines` are of its errors alone.

    Args:
        longest: How many bytes of output are read; one more is returned of a longer output, whose program is ended.

    Raises:
        OutOfTimeError: The deadline passed.
        OSError: The program cannot be started.
    """
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with supervised(command, environment=environment, folder=folder, keep_open=(), umask=-1, **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = process.stdout.fileno(), process.stderr.fileno()
        printed, lines, tail = bytearray(), Lines(), deque[str](maxlen=TAIL_LINES)
        for source, data in read_until_exit(process, out, err):
            if source == out:
                printed += data
            else:
                tail.extend(lines.feed(data))
            if len(printed) > longest:
                end_group(process)
                break
            if deadline.has_passed:
                raise OutOfTimeError
        tail.extend(lines.rest())
    return Ended(process.returncode, tuple(tail)), bytes(printed[: longest + 1])
