"""Prints one JSON object per line and event, for programs that read logs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from typing import TextIO

from bootstrapper.cli.event_text import headline, phrase
from bootstrapper.cli.output import print_message
from bootstrapper.cli.plainlog import Throttle
from bootstrapper.config.units import show_seconds
from bootstrapper.events import (
    AttemptFailed,
    Event,
    RunFinished,
    RunStarted,
    StepApplied,
    StepBlocked,
    StepFailed,
    StepReported,
    Warned,
)
from bootstrapper.plans import JSONValue, PlannedStep, total
from bootstrapper.text import cut, one_line

_PROGRESS_SECONDS = 1.0
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


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
        print_message(json.dumps({**head(self._clock(), name(event), _level(event)), **_facts(event)}), self._stream)

    def say(self, text: str) -> None:
        """Prints nothing: the event `run_finished` has the same facts."""

    def close(self) -> None:
        """Does nothing: no live view to remove."""


def head(moment: datetime, event: str, level: str) -> dict[str, JSONValue]:
    """Returns the keys that every line begins with."""
    return {"time": moment.isoformat(timespec="milliseconds"), "level": level, "event": event}


def name(event: Event | type[Event]) -> str:
    """Returns `step_applied` for `StepApplied`."""
    kind = event if isinstance(event, type) else type(event)
    return _WORD_START.sub("_", kind.__name__).lower()


def _level(event: Event) -> str:
    if isinstance(event, StepFailed):
        return "error"
    return "warning" if isinstance(event, Warned | AttemptFailed | StepBlocked) else "info"


def _facts(event: Event) -> dict[str, JSONValue]:
    facts = {field.name: _fact(getattr(event, field.name)) for field in fields(event)}
    if isinstance(event, StepApplied):
        facts["result"] = {
            "state": "applied",
            "changes": total(event.result.changes),
            "deferred": len(event.result.deferred),
        }
    return {"message": _message(event), **facts}


def _message(event: Event) -> str:
    """Returns the sentence that the plain log prints for the event."""
    match event:
        case RunStarted():
            return headline(event)
        case RunFinished():
            return f"{event.outcome} in {show_seconds(event.seconds)}"
        case StepReported():
            return f"{event.step} | {one_line(event.line)}"
        case Warned():
            return cut(event.message)
    said = phrase(event)
    return f"{said.step}: {said.text}" if said else ""


def _fact(value: object) -> JSONValue:
    if isinstance(value, PlannedStep):
        return {"state": value.state, "changes": total(value.changes), "deferred": len(value.deferred)}
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, bool | int) else cut(str(value))
