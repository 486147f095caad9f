"""The messages about events, the same in plain lines, in the live view, in JSON and in the log of an application."""

from __future__ import annotations

from enum import Enum

from bootstrapper.builtin.renderers.wording import past
from bootstrapper.config.units import show_seconds
from bootstrapper.dataclass import dataclass
from bootstrapper.events import (
    AttemptFailed,
    ChangesAwaited,
    Event,
    GateOpened,
    LockAwaited,
    RunStarted,
    ScopeEntered,
    ScopeLeft,
    StepApplied,
    StepBlocked,
    StepFailed,
    StepProgressed,
    StepStarted,
    StepUnchanged,
)
from bootstrapper.plans import PlannedStep, State, total
from bootstrapper.text import counted, listed, one_line, with_reason

NAME_WIDTH = 12
"""Width of the column of step names, enough for most files."""

_SIZES = (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024))


class Tone(Enum):
    """What a terminal shows by colour."""

    GOOD = "good"
    BAD = "bad"
    DOUBTFUL = "doubtful"
    QUIET = "quiet"


@dataclass(frozen=True)
class Phrase:
    """A message about a step.

    Attributes:
        mark: One character for its kind.
        lasting: Whether the live view prints it as a permanent line.
    """

    step: str
    mark: str
    text: str
    tone: Tone | None = None
    lasting: bool = True


def headline(event: RunStarted) -> str:
    """Returns the first line of a run."""
    environment = f" · environment {event.environment}" if event.environment else ""
    return one_line(f"{event.command} · {event.server} · database {event.database}{environment}")


def phrase(event: Event) -> Phrase | None:  # noqa: PLR0911 - one return per event reads best
    """Returns the message, or None for an event without a step or of interest to programs only."""
    match event:
        case AttemptFailed():
            again = f"retrying in {show_seconds(event.next_try_seconds)}"
            text = f"attempt {event.attempt} failed: {one_line(event.reason)}; {again}"
            return Phrase(event.step, "!", text, Tone.DOUBTFUL, lasting=False)
        case GateOpened():
            text = with_reason("ready", event.detail)
            return Phrase(event.step, "=", f"{text} ({show_seconds(event.seconds)})", Tone.QUIET)
        case LockAwaited():
            return Phrase(event.step, "!", f"waiting: {one_line(event.holder)}", Tone.DOUBTFUL, lasting=False)
        case StepBlocked():
            return Phrase(event.step, "!", f"waiting for a lock held by {one_line(event.blocker)}", Tone.DOUBTFUL)
        case ChangesAwaited():
            return Phrase("waiting", "!", one_line(f"for other runs to apply {listed(event.steps)}"), Tone.DOUBTFUL)
        case ScopeEntered():
            return Phrase(event.step, ">", with_reason("entered", event.detail), Tone.QUIET)
        case ScopeLeft():
            return Phrase(event.step, "<", "left", Tone.QUIET, lasting=False)
        case StepStarted():
            changes = f", {counted(event.changes, 'change')}" if event.changes else ""
            return Phrase(event.step, ">", f"started{changes}", lasting=False)
        case StepProgressed():
            text = with_reason(progress(event.done, event.total, event.unit), event.detail)
            return Phrase(event.step, ">", text, lasting=False)
        case StepApplied():
            return Phrase(event.step, "+", f"{_done(event.result)} in {show_seconds(event.seconds)}", Tone.GOOD)
        case StepUnchanged():
            return _unchanged(event)
        case StepFailed():
            how, undone = "interrupted" if event.interrupted else "failed", "; rolled back" if event.rolled_back else ""
            return Phrase(event.step, "x", f"{how} after {show_seconds(event.seconds)}{undone}", Tone.BAD)
    return None


def progress(done: int, total: int | None, unit: str) -> str:
    """Returns `3 of 12 revisions`, `1.5 of 20.0 MB`, `7 seconds`."""
    if unit == "bytes":
        return _bytes(done, total)
    if total is None:
        return counted(done, unit.removesuffix("s"))
    return f"{done:,} of {total:,} {unit if total != 1 else unit.removesuffix('s')}"


def _bytes(done: int, total: int | None) -> str:
    name, size = next((each for each in _SIZES if (total or done) >= each[1]), ("B", 1))
    digits = 0 if size == 1 else 1
    of = "" if total is None else f" of {total / size:.{digits}f}"
    return f"{done / size:.{digits}f}{of} {name}"


def _done(step: PlannedStep) -> str:
    verbs = past(step.uses)
    change = step.changes[0] if step.changes else None
    if change is not None and total(step.changes) == 1:
        return f"{verbs.get(change.action, 'kept')} {one_line(change.target)}"
    counts = {verb: total(step.changes, action) for action, verb in verbs.items()}
    return ", ".join(f"{verb} {count:,}" for verb, count in counts.items() if count) or "applied"


def _unchanged(event: StepUnchanged) -> Phrase:
    result = event.result
    if result.state is State.SKIPPED:
        return Phrase(event.step, "-", with_reason("not needed", _why(result).removeprefix("not needed: ")), Tone.QUIET)
    return Phrase(event.step, "=", with_reason("unchanged", _why(result)), Tone.QUIET)


def _why(step: PlannedStep) -> str:
    answers = (step.when, step.check) if step.state is State.SKIPPED else (step.check, step.when)
    return step.reason or next((answer.reason for answer in answers if answer and answer.reason), "")
