"""What happened, in the past tense; the closed list of what a run tells its renderers.

Events carry no secret: texts that come from outside are masked before an event is made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from bootstrapper.plan import PlannedStep


@dataclass(frozen=True)
class Event:
    """The root of all events."""


@dataclass(frozen=True)
class RunStarted(Event):
    """First of every run, before anything is connected.

    Attributes:
        command: The word on the command line.
        server: Where the database is, such as `db.example.com:5432`.
        database: Its name.
        environment: The one that was named; none where the file declares none.
    """

    command: str
    server: str
    database: str
    environment: str | None


@dataclass(frozen=True)
class AttemptFailed(Event):
    """A gate tried in vain and will try again.

    Attributes:
        step: The gate's name.
        attempt: Which try it was, from 1.
        reason: Why there is no way in.
        next_try_seconds: How long it pauses.
    """

    step: str
    attempt: int
    reason: str
    next_try_seconds: float


@dataclass(frozen=True)
class GateOpened(Event):
    """The way to the database is free.

    Attributes:
        step: The gate's name.
        seconds: How long it took.
        detail: What the server is.
    """

    step: str
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class LockAwaited(Event):
    """The lock was busy; said at the first try and whenever the holder changes.

    Attributes:
        step: The scope's name.
        holder: Who has it.
    """

    step: str
    holder: str


@dataclass(frozen=True)
class StepBlocked(Event):
    """A step waits for a lock that another session has; said at first and whenever others are in the way.

    Attributes:
        step: The step's name.
        blocker: The other session, in words.
        pid: Its backend's process id; 0 for a prepared transaction.
        role: Its role. None for what the server does not tell ours.
        application: Its `application_name`.
        host: Where its client is; none for a local socket.
        since: When its transaction began, as ISO 8601.
        statement: What it runs, or ran last; cut where it is long.
    """

    step: str
    blocker: str
    pid: int
    role: str | None = None
    application: str | None = None
    host: str | None = None
    since: str | None = None
    statement: str | None = None


@dataclass(frozen=True)
class ChangesAwaited(Event):
    """A follower found changes that others have to make; said first and whenever the steps become others.

    Attributes:
        steps: Names of the steps.
    """

    steps: tuple[str, ...]


@dataclass(frozen=True)
class ScopeEntered(Event):
    """The lock, or another scope, was taken.

    Attributes:
        step: The scope's name.
        detail: What is said of it.
        run_id: Of the run that holds what the scope took; none for a scope without one.
    """

    step: str
    detail: str = ""
    run_id: str | None = None


@dataclass(frozen=True)
class ScopeLeft(Event):
    """The scope was given back.

    Attributes:
        step: The scope's name.
    """

    step: str


@dataclass(frozen=True)
class StepStarted(Event):
    """A step begins to make its changes.

    Attributes:
        step: The step's name.
        uses: Its type.
        changes: How many there are; those that could not be known yet are not counted.
    """

    step: str
    uses: str
    changes: int


@dataclass(frozen=True)
class StepProgressed(Event):
    """How far a step is. Where `detail` names what was just done, each of these is worth a line.

    Attributes:
        step: The step's name.
        done: How much of it is done.
        total: How much there is; none where nobody knows.
        unit: rows, bytes, revisions or seconds.
        detail: What was just done, such as a revision.
    """

    step: str
    done: int
    total: int | None
    unit: str
    detail: str = ""


@dataclass(frozen=True)
class StepReported(Event):
    """A line that a step's own tool printed.

    Attributes:
        step: The step's name.
        line: The line.
    """

    step: str
    line: str


@dataclass(frozen=True)
class StepApplied(Event):
    """A step made its changes.

    Attributes:
        step: The step's name.
        result: What it did: `state` is `applied`; `changes` and `deferred` count what was planned at its turn.
        seconds: How long it took.
    """

    step: str
    result: PlannedStep
    seconds: float


@dataclass(frozen=True)
class StepUnchanged(Event):
    """A step had nothing to do, or was not needed in this run.

    Attributes:
        step: The step's name.
        result: How it stands: `state` is `done`, or `skipped` where its `when` said no.
    """

    step: str
    result: PlannedStep


@dataclass(frozen=True)
class StepFailed(Event):
    """A step could not make its changes; the error that ends the run says more.

    Attributes:
        step: The step's name.
        reason: Why not.
        seconds: After which time.
        rolled_back: Whether nothing of what it did stays. False where some of it may.
    """

    step: str
    reason: str
    seconds: float
    rolled_back: bool = False


@dataclass(frozen=True)
class Warned(Event):
    """Something is not as it should be, and the run goes on.

    Attributes:
        message: What it is.
        hint: What to do about it.
    """

    message: str
    hint: str | None = None


@dataclass(frozen=True)
class RunFinished(Event):
    """Last of every run.

    Attributes:
        outcome: done, unchanged, failed or interrupted.
        seconds: How long the run took.
        applied: How many steps made changes.
    """

    outcome: str
    seconds: float
    applied: int = 0


ALL: tuple[type[Event], ...] = (
    *(RunStarted, AttemptFailed, GateOpened, LockAwaited, ChangesAwaited, ScopeEntered, ScopeLeft, StepStarted),
    *(StepProgressed, StepReported, StepBlocked, StepApplied, StepUnchanged, StepFailed, Warned, RunFinished),
)
"""Every event there is, in the order in which a run has them."""

Emit = Callable[[Event], None]


def one_at_a_time(emit: Emit) -> Emit:
    """Passes events on from several threads, one after the other."""
    lock = threading.RLock()

    def pass_on(event: Event) -> None:
        with lock:
            emit(event)

    return pass_on


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
