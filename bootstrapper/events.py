"""What happened, in the past tense; the closed list of what a run tells its renderers.

Events carry no secret: texts that come from outside are masked before an event is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bootstrapper.plan import PlannedStep


@dataclass(frozen=True)
class Event:
    """The root of all events."""


@dataclass(frozen=True)
class RunStarted(Event):
    """First of every run, before anything is connected."""

    command: str
    server: str
    database: str
    environment: str | None


@dataclass(frozen=True)
class AttemptFailed(Event):
    """A gate tried in vain and will try again."""

    step: str
    attempt: int
    reason: str
    next_try_seconds: float


@dataclass(frozen=True)
class GateOpened(Event):
    step: str
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class LockAwaited(Event):
    """The lock was busy; said at the first try and whenever the holder changes."""

    step: str
    holder: str


@dataclass(frozen=True)
class ChangesAwaited(Event):
    """A follower found changes that others have to make; said first and whenever the steps become others."""

    steps: tuple[str, ...]


@dataclass(frozen=True)
class ScopeEntered(Event):
    """Attributes:
    run_id: Of the run that holds what the scope took; None for a scope without one.
    """

    step: str
    detail: str = ""
    run_id: str | None = None


@dataclass(frozen=True)
class ScopeLeft(Event):
    step: str


@dataclass(frozen=True)
class StepStarted(Event):
    step: str
    uses: str
    changes: int


@dataclass(frozen=True)
class StepProgressed(Event):
    """How far a step is; `total` is None where nobody knows. Units: rows, bytes, revisions, seconds.

    Where `detail` names what was just done, each of these is worth a line.
    """

    step: str
    done: int
    total: int | None
    unit: str
    detail: str = ""


@dataclass(frozen=True)
class StepReported(Event):
    """A line that a step's own tool printed."""

    step: str
    line: str


@dataclass(frozen=True)
class StepApplied(Event):
    step: str
    result: PlannedStep
    seconds: float


@dataclass(frozen=True)
class StepUnchanged(Event):
    """A step that had nothing to do, or was not needed in this run."""

    step: str
    result: PlannedStep


@dataclass(frozen=True)
class StepFailed(Event):
    step: str
    reason: str
    seconds: float


@dataclass(frozen=True)
class Warned(Event):
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class RunFinished(Event):
    """Last of every run. `outcome` is one of: done, unchanged, failed, interrupted."""

    outcome: str
    seconds: float
    applied: int = 0


Emit = Callable[[Event], None]


def once(emit: Emit) -> Emit:
    """Passes events on for who looks more than once: the first beginning, and that a gate is open only at first.

    A gate that was found closed meanwhile is worth saying again.
    """
    opened: set[str] = set()
    begun = False

    def pass_on(event: Event) -> None:
        nonlocal begun
        if isinstance(event, AttemptFailed):
            opened.discard(event.step)
        elif isinstance(event, GateOpened):
            if event.step in opened:
                return
            opened.add(event.step)
        elif isinstance(event, RunStarted):
            if begun:
                return
            begun = True
        emit(event)

    return pass_on
