"""Prints one JSON object per line and event, for programs that read logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from bootstrapper.api.event_facts import Throttle, event_data
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
        print_message(json.dumps({"time": _shown(self._clock()), **event_data(event)}), self._stream)

    def say(self, text: str) -> None:
        """Prints nothing: the event `run_finished` has the same facts."""

    def close(self) -> None:
        """Does nothing: no live view to remove."""


def head(moment: datetime, event: str, level: str) -> dict[str, JSONValue]:
    """Returns the keys that every line begins with."""
    return {"time": _shown(moment), "level": level, "event": event}


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
