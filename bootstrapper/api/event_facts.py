"""What programs read of an event: its name, level, sentence and facts; the same in JSON and in a log record."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import fields

from bootstrapper.api.event_text import headline, phrase
from bootstrapper.config.units import show_seconds
from bootstrapper.events import (
    AttemptFailed,
    Event,
    RunFinished,
    RunStarted,
    StepApplied,
    StepBlocked,
    StepFailed,
    StepProgressed,
    StepReported,
    Warned,
)
from bootstrapper.plans import JSONValue, PlannedStep, total
from bootstrapper.text import cut, one_line

_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def name(event: Event | type[Event]) -> str:
    """Returns `step_applied` for `StepApplied`."""
    kind = event if isinstance(event, type) else type(event)
    return _WORD_START.sub("_", kind.__name__).lower()


def level(event: Event) -> str:
    """Returns `error`, `warning` or `info`."""
    if isinstance(event, StepFailed):
        return "warning" if event.interrupted else "error"
    return "warning" if isinstance(event, Warned | AttemptFailed | StepBlocked) else "info"


def message(event: Event) -> str:
    """Returns the sentence that the plain log has for the event."""
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


def event_data(event: Event) -> dict[str, JSONValue]:
    """Returns the event as `--log-format json` writes it, without `time`: `level`, `event`, `message` and its fields.

    `json.dumps` takes the result.
    """
    return {"level": level(event), "event": name(event), "message": message(event), **facts(event)}


def facts(event: Event) -> dict[str, JSONValue]:
    """Returns the fields of the event as JSON."""
    found = {field.name: _fact(getattr(event, field.name)) for field in fields(event)}
    if isinstance(event, StepApplied):
        found["result"] = {
            "state": "applied",
            "changes": total(event.result.changes),
            "deferred": len(event.result.deferred),
        }
    return found


def _fact(value: object) -> JSONValue:
    if isinstance(value, PlannedStep):
        return {"state": value.state, "changes": total(value.changes), "deferred": len(value.deferred)}
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, bool | int) else cut(str(value))


class Throttle:
    """Passes one progress event of a step per interval, none in the first interval: short steps need no line.

    Progress events with a detail always pass.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._last: dict[str, float] = {}

    def holds_back(self, event: Event) -> bool:
        if not isinstance(event, StepProgressed) or event.detail:
            return False
        now = self._clock()
        first = self._last.setdefault(event.step, now)
        if first + self._seconds > now:
            return True
        self._last[event.step] = now
        return False
