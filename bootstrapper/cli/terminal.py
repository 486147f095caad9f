"""What a person at a terminal sees: lines that stay, and a live view below them while something is under way."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from bootstrapper.cli.event_text import NAME_WIDTH, Phrase, headline, phrase
from bootstrapper.cli.output import DIM, harmless, paint, print_message
from bootstrapper.cli.plainlog import warning
from bootstrapper.events import (
    AttemptFailed,
    Event,
    LockAwaited,
    RunStarted,
    StepBlocked,
    StepFailed,
    StepProgressed,
    StepReported,
    StepStarted,
    Warned,
)
from bootstrapper.text import counted, one_line

if TYPE_CHECKING:
    from bootstrapper.cli.live import LiveView

_REPORTED_LINES = 20  # of what a tool printed, shown when its step failed
_MARKS = {"+": "✓", "x": "✗"}


class Terminal:
    """Starts the live view at the first event that needs it, so that a run with nothing to do never loads rich."""

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        self._stream = stream
        self._colour = colour
        self._view: LiveView | None = None
        self._reported: deque[str] = deque(maxlen=_REPORTED_LINES)

    def emit(self, event: Event) -> None:
        with suppress(OSError):  # a terminal that went away breaks no run
            self._show(event)

    def _show(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.say(headline(event))
            case Warned():
                for line in warning(event, colour=self._colour):
                    self.say(line)
            case StepBlocked() if said := phrase(event):  # the step goes on: its moving line stays
                self.say(self._line(said))
            case StepReported():
                self._reported.append(one_line(event.line))
                if self._view:
                    self._view.detail(event.step, one_line(event.line))
            case StepStarted() | StepProgressed() | AttemptFailed() | LockAwaited():
                self._under_way(event)
            case _:
                self._settled(event)

    def say(self, text: str) -> None:
        if self._view:
            self._view.print(harmless(text))
        else:
            print_message(text, self._stream)

    def close(self) -> None:
        """Takes the live view away; what was printed above it stays."""
        if self._view:
            with suppress(OSError):
                self._view.close()
            self._view = None

    def _under_way(self, event: StepStarted | StepProgressed | AttemptFailed | LockAwaited) -> None:
        if self._view is None:
            from bootstrapper.cli.live import LiveView  # noqa: PLC0415 - a run with nothing to do loads no rich

            self._view = LiveView(self._stream, colour=self._colour)
        match event:
            case StepStarted():
                self._reported.clear()
                self._view.detail(event.step, f"applying {counted(event.changes, 'change')}" if event.changes else "")
            case StepProgressed():
                self._view.progress(event)
            case _ if said := phrase(event):
                self._view.detail(said.step, said.text)

    def _settled(self, event: Event) -> None:
        said = phrase(event)
        if said is None:
            return
        if self._view:
            self._view.remove(said.step)
        if said.lasting:
            self.say(self._line(said))
        if isinstance(event, StepFailed):
            for line in self._reported:
                self.say(paint(f"    | {line}", DIM, enabled=self._colour))

    def _line(self, said: Phrase) -> str:
        mark = _MARKS.get(said.mark, said.mark) if _is_unicode(self._stream) else said.mark
        painted = paint(mark, said.colour, enabled=self._colour)
        return f"  {painted} {one_line(said.step):<{NAME_WIDTH}}  {said.text}"


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") == "utf8"
