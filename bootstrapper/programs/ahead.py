"""Programs with two pipes of their own, one of which may be started before it is known whether it is needed.

A program that takes long to load loads while this process does, too. It waits for its first line then, has nothing
else open, and ends with this process, whose end closes the pipe.
"""

from __future__ import annotations

import atexit
import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bootstrapper.programs.streams import pipe

AHEAD = "ahead"
"""The last argument of a program that was started ahead."""


class Started(NamedTuple):
    """A program at work, and our ends of its pipes: `control` is written, `events` is read."""

    process: subprocess.Popen[bytes]
    control: int
    events: int


class _Waiting(NamedTuple):
    started: Started
    command: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    place: int


_waiting: list[_Waiting] = []  # one at most


def start(command: Sequence[str], *arguments: str, directory: Path, environment: Mapping[str, str]) -> Started:
    """Starts a program in a session of its own; the descriptors of its pipes, then the arguments follow the command.

    Raises OSError if it cannot be started.
    """
    control, controlling = pipe()
    reading, events = pipe()
    try:
        process = subprocess.Popen(
            [*command, str(control), str(events), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=dict(environment),
            pass_fds=(control, events),
            start_new_session=True,
        )
    except BaseException:
        os.close(controlling)
        os.close(reading)
        raise
    finally:
        os.close(control)
        os.close(events)
    return Started(process, controlling, reading)


def start_ahead(command: Sequence[str], *, directory: Path, environment: Mapping[str, str], place: int) -> None:
    """Starts a program that may be needed.

    Args:
        place: A descriptor that stays open as long as the program waits.
    """
    started = start(command, AHEAD, directory=directory, environment=environment)
    _waiting.append(_Waiting(started, command, directory, environment, place))
    atexit.register(dismiss)  # also before this process becomes another program


def take(
    command: Sequence[str], *, directory: Path, environment: Mapping[str, str], told: Collection[str]
) -> Started | None:
    """Returns the program that waits, if it is the same as one that would be started now.

    Args:
        told: Variables that it is told later, so that it may have been started with other values.
    """
    if not _waiting:
        return None
    (waiting,) = _waiting
    given = waiting.environment
    different = {name for name in {*given, *environment} if given.get(name) != environment.get(name)}
    is_same = (
        list(command) == list(waiting.command)
        and different <= environment.keys() & set(told)
        and _is_same_folder(directory, waiting.directory)
        and waiting.started.process.poll() is None
    )
    if not is_same:
        dismiss()
        return None
    _waiting.clear()
    os.close(waiting.place)
    return waiting.started


def dismiss() -> None:
    """Ends the program that waits, if there is one: it has done nothing yet."""
    while _waiting:
        waiting = _waiting.pop()
        process, control, events = waiting.started
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        for descriptor in (control, events, waiting.place):
            os.close(descriptor)


def _is_same_folder(first: Path, second: Path) -> bool:
    with suppress(OSError):
        return first.samefile(second)
    return False
