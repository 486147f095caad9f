"""Runs the worker as a process: sends its request, reads its events and the project's output, and ends it."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bootstrapper.deadline import Deadline
from bootstrapper.programs.pipes import pipe

GRACE_SECONDS = 2.0

_WORKER = Path(__file__).with_name("program")
_TICK_SECONDS = 0.1


@dataclass(frozen=True)
class Reported:
    """An event that the worker itself reports."""

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)


Message = Reported | str
"""An event of the worker, or a line that the project printed."""


class WorkerProcess:
    """A worker in a process group of its own; leaving the context ends the group.

    Raises OSError if the interpreter cannot be started.
    """

    def __init__(
        self, python: str, request: Mapping[str, Any], *, directory: Path, environment: Mapping[str, str]
    ) -> None:
        control, self._control = pipe()
        self._events, events = pipe()
        try:
            self._process = subprocess.Popen(
                [python, str(_WORKER), str(control), str(events)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=dict(environment),
                pass_fds=(control, events),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._control)
            os.close(self._events)
            raise
        finally:
            os.close(control)
            os.close(events)
        self._is_stopped = False
        self._request = json.dumps(request).encode() + b"\n"

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def __enter__(self) -> Self:
        with suppress(BrokenPipeError):  # it ended before it could read; its output says why
            os.write(self._control, self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        with suppress(OSError):
            os.close(self._control)
        os.close(self._events)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def stop(self) -> None:
        """Ends the group, from any thread; once, since the operating system may reuse its id."""
        if self._is_stopped:
            return
        self._is_stopped = True
        try:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def messages(self, deadline: Deadline) -> Iterator[Message]:
        """Yields all messages until the worker has ended; raises TimeoutError if the deadline passes before that."""
        output = self._process.stdout
        assert output is not None
        streams = {self._events: _Lines(), output.fileno(): _Lines()}
        with selectors.DefaultSelector() as selector:
            for descriptor in streams:
                os.set_blocking(descriptor, False)
                selector.register(descriptor, selectors.EVENT_READ)
            while self._process.poll() is None:
                if deadline.has_passed:
                    raise TimeoutError
                for descriptor in self._ready(selector, min(_TICK_SECONDS, deadline.seconds_left)):
                    data = _read(descriptor)
                    if data == b"":
                        selector.unregister(descriptor)
                    yield from self._messages(descriptor, streams[descriptor].feed(data or b""))
        for descriptor, lines in streams.items():
            while data := _read(descriptor):
                yield from self._messages(descriptor, lines.feed(data))
            if descriptor != self._events:  # half an event is not one
                yield from lines.rest()

    def _ready(self, selector: selectors.BaseSelector, seconds: float) -> list[int]:
        if not selector.get_map():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            return []
        return [key.fd for key, _ in selector.select(seconds)]

    def _messages(self, descriptor: int, lines: Sequence[str]) -> Iterator[Message]:
        for line in lines:
            if descriptor != self._events:
                yield line
            else:
                facts = json.loads(line)
                yield Reported(facts.pop("event"), facts)


class _Lines:
    """Assembles lines from pieces."""

    def __init__(self) -> None:
        self._begun = b""

    def feed(self, data: bytes) -> list[str]:
        *whole, self._begun = (self._begun + data).split(b"\n")
        return [line.rstrip(b"\r").decode(errors="replace") for line in whole]

    def rest(self) -> list[str]:
        return self.feed(b"\n") if self._begun else []


def _read(descriptor: int) -> bytes | None:
    """Returns empty bytes at the end of the stream, None if nothing can be read yet."""
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return None
