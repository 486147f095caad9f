"""Prints one JSON object per line and event, for programs that read logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from bootstrapper.api.event_facts import Throttle, facts, level, message, name
from bootstrapper.cli.output import print_message
from bootstrapper.events import Event, Warned
from bootstrapper.plans import JSONValue

_PROGRESS_SECONDS = 1.0


def _now() -> datetime:
    return datetime.now(UTC)


class JsonLog:
    """A log with the field names of the events; the name of the event itself is in snake case."""

    def __init__(self, stream: TextIO, *, quiet: bool = False, clock: Callable[[], datetime] = _now) -> None:
        self._stream = stream
        self._quiet = quiet
        self._clock = clock
        self._throttle = Throttle(_PROGRESS_SECONDS, lambda: clock().timestamp())

    def emit(self, event: Event) -> None:
        if self._throttle.holds_back(event) or (self._quiet and not isinstance(event, Warned)):
            return
        print_message(
            json.dumps({**head(self._clock(), name(event), level(event)), "message": message(event), **facts(event)}),
            self._stream,
        )

    def say(self, text: str) -> None:
        """Prints nothing: the event `run_finished` has the same facts."""

    def close(self) -> None:
        """Does nothing: no live view to remove."""


def head(moment: datetime, event: str, level: str) -> dict[str, JSONValue]:
    """Returns the keys that every line begins with."""
    return {"time": moment.isoformat(timespec="milliseconds"), "level": level, "event": event}
