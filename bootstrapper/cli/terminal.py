"""Prints events to a terminal: permanent lines, and a live view below them while steps run."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from bootstrapper.api.event_text import NAME_WIDTH, Phrase, Tone, headline, phrase
from bootstrapper.cli.output import DIM, GREEN, RED, YELLOW, escaped, paint, print_message
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

_REPORTED_LINES = 20  # of the output of a tool, printed if its step fails
_COLOURS = {Tone.GOOD: GREEN, Tone.BAD: RED, Tone.DOUBTFUL: YELLOW, Tone.QUIET: DIM, None: None}
_MARKS = {"+": "✓", "x": "✗"}


class Terminal:
    """A printer that starts the live view only at an event that needs it: a no-op run does not import rich."""

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        self._stream = stream
        self._colour = colour
        self._view: LiveView | None = None
        self._reported: deque[str] = deque(maxlen=_REPORTED_LINES)

    def emit(self, event: Event) -> None:
        with suppress(OSError):  # a closed terminal does not stop a run
            self._show(event)

    def _show(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.say(headline(event))
            case Warned():
                for line in warning(event, colour=self._colour):
                    self.say(line)
            case StepBlocked() if said := phrase(event):  # the step is still running: its line stays
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
            self._view.print(escaped(text))
        else:
            print_message(text, self._stream)

    def close(self) -> None:
        """Removes the live view; the lines above it stay."""
        if self._view:
            with suppress(OSError):
                self._view.close()
            self._view = None

    def _under_way(self, event: StepStarted | StepProgressed | AttemptFailed | LockAwaited) -> None:
        if self._view is None:
            from bootstrapper.cli.live import LiveView  # noqa: PLC0415 - a no-op run does not import rich

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
        painted = paint(mark, _COLOURS.get(said.tone), enabled=self._colour)
        return f"  {painted} {one_line(said.step):<{NAME_WIDTH}}  {said.text}"


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") == "utf8"
