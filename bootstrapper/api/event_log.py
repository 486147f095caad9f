"""Events as records of the standard logger `bootstrapper`, for programs that call the api."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from bootstrapper.api.event_facts import Throttle, facts, level, message, name
from bootstrapper.events import Event, ScopeEntered
from bootstrapper.plans import JSONValue

LOGGER = logging.getLogger("bootstrapper")
LOGGER.addHandler(logging.NullHandler())  # without any handler, Python prints warnings to stderr

_PROGRESS_SECONDS = 5.0
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class EventLog:
    """Logs each event of one run, then hands it to a callback.

    Beside Python's own attributes, a record has `event` (the name in snake case), `facts` (its fields, as JSON) and
    `run_id` (of the run that holds the lock; None before there is one).
    """

    def __init__(self, on_event: Callable[[Event], object] | None = None) -> None:
        """Takes the callback. What it raises is logged, and does not end the run."""
        self._on_event = on_event
        self._throttle = Throttle(_PROGRESS_SECONDS)
        self._run_id: str | None = None

    def emit(self, event: Event) -> None:
        if isinstance(event, ScopeEntered) and event.run_id is not None:
            self._run_id = event.run_id
        if not self._throttle.holds_back(event):
            LOGGER.log(_LEVELS[level(event)], "%s", message(event), extra=self._extra(name(event), facts(event)))
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:
            LOGGER.exception("on_event raised an error", extra=self._extra("on_event", {}))

    def _extra(self, event: str, found: Mapping[str, JSONValue]) -> dict[str, object]:
        return {"event": event, "facts": found, "run_id": self._run_id}
