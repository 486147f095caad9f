"""Runs the worker as a process: sends its request, reads its events and the project's output, and ends it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.migrations.worker.early import PROGRAM, TOLD
from bootstrapper.programs import ahead
from bootstrapper.programs.streams import Lines, read_until_exit
from bootstrapper.programs.supervised import end_group

_WORKER = PROGRAM
_PAUSE_SECONDS = 0.01
"""Of thousand revisions each reports twice: waking up each time takes longer than reading."""


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
        command = [python, str(_WORKER)]
        started = ahead.take(command, directory=directory, environment=environment, told=TOLD)
        self._process, self._control, self._events = started or ahead.start(
            command, directory=directory, environment=environment
        )
        self._is_stopped = False
        told = {name: environment[name] for name in sorted(TOLD & environment.keys())}
        self._request = json.dumps({**request, "environment": told}).encode() + b"\n"

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
        end_group(self._process)

    def messages(self, deadline: Deadline) -> Iterator[Message]:
        """Yields all messages until the worker has ended; raises TimeoutError if the deadline passes before that."""
        output = self._process.stdout
        assert output is not None
        streams = {self._events: Lines(longest=None), output.fileno(): Lines()}
        for descriptor, data in read_until_exit(self._process, *streams, pause_seconds=_PAUSE_SECONDS):
            yield from self._messages(descriptor, streams[descriptor].feed(data))
            if deadline.has_passed and self.exit_code is None:
                raise TimeoutError
        yield from streams[output.fileno()].rest()  # half an event is not one

    def _messages(self, descriptor: int, lines: Sequence[str]) -> Iterator[Message]:
        for line in lines:
            if descriptor != self._events:
                yield line
            else:
                facts = json.loads(line)
                yield Reported(facts.pop("event"), facts)
