"""Prints one plain line per event, for logs, pipes and CI."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from bootstrapper.api.event_facts import Throttle
from bootstrapper.api.event_text import headline, phrase
from bootstrapper.cli.output import YELLOW, paint, print_message
from bootstrapper.events import Event, RunStarted, StepReported, Warned
from bootstrapper.text import one_line

_PROGRESS_SECONDS = 5.0  # often enough to show progress, rarely enough to keep a log readable


class PlainLog:
    """A log of plain lines, also for terminals that cannot show a live view."""

    def __init__(
        self, stream: TextIO, *, colour: bool = False, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._colour = colour
        self._quiet = quiet
        self._throttle = Throttle(_PROGRESS_SECONDS, clock)

    def emit(self, event: Event) -> None:
        for line in self._lines(event):
            print_message(line, self._stream)

    def say(self, text: str) -> None:
        if not self._quiet:
            print_message(text, self._stream)

    def close(self) -> None:
        """Does nothing: no live view to remove."""

    def _lines(self, event: Event) -> list[str]:
        if isinstance(event, Warned):
            return warning(event, colour=self._colour)
        if self._quiet or self._throttle.holds_back(event):
            return []
        if isinstance(event, RunStarted):
            return [headline(event)]
        if isinstance(event, StepReported):
            return [f"{event.step} | {one_line(event.line)}"]
        said = phrase(event)
        return [f"{said.step}: {said.text}"] if said else []


def warning(event: Warned, *, colour: bool) -> list[str]:
    hint = [f"hint: {one_line(event.hint)}"] if event.hint else []
    return [f"{paint('warning:', YELLOW, enabled=colour)} {one_line(event.message)}", *hint]
