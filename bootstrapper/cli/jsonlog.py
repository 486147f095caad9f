"""One JSON object a line and event, for programs that read logs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from typing import TextIO

from bootstrapper.cli.lines import Throttle
from bootstrapper.cli.output import print_message
from bootstrapper.events import Event, Warned
from bootstrapper.plan import JSONValue, PlannedStep, total

_PROGRESS_SECONDS = 1.0
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def _now() -> datetime:
    return datetime.now(UTC)


class JsonLog:
    """Field names are those of the events; the event's own name is in snake case."""

    def __init__(self, stream: TextIO, *, quiet: bool = False, clock: Callable[[], datetime] = _now) -> None:
        self._stream = stream
        self._quiet = quiet
        self._clock = clock
        self._throttle = Throttle(_PROGRESS_SECONDS, lambda: clock().timestamp())

    def emit(self, event: Event) -> None:
        if self._throttle.holds_back(event) or (self._quiet and not isinstance(event, Warned)):
            return
        head: dict[str, JSONValue] = {"time": self._clock().isoformat(timespec="milliseconds"), "event": name(event)}
        print_message(json.dumps({**head, **_facts(event)}), self._stream)

    def say(self, text: str) -> None:
        """Words for people have no place here: RunFinished says it."""

    def close(self) -> None:
        """Nothing is left open."""


def name(event: Event) -> str:
    """`StepApplied` is `step_applied`."""
    return _WORD_START.sub("_", type(event).__name__).lower()


def _facts(event: Event) -> dict[str, JSONValue]:
    return {field.name: _fact(getattr(event, field.name)) for field in fields(event)}


def _fact(value: object) -> JSONValue:
    if isinstance(value, PlannedStep):
        return {"state": value.state, "changes": total(value.changes), "deferred": len(value.deferred)}
    if isinstance(value, float):
        return round(value, 3)
    return value if value is None or isinstance(value, bool | int | str) else str(value)
