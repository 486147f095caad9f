"""What happened, in the past tense; the closed list of what a run tells its renderers.

Events carry no secret: texts that come from outside are masked before an event is made.
"""

from __future__ import annotations

from collections.abc import Callable

from bootstrapper.dataclass import dataclass
from bootstrapper.plans import PlannedStep


@dataclass(frozen=True)
class Event:
    """The root of all events."""


@dataclass(frozen=True)
class RunStarted(Event):
    """The first event of every run, before it connects.

    Attributes:
        command: Name of the command.
        server: The address of the server, such as `db.example.com:5432`.
        database: Name of the database.
        environment: The chosen environment; none if the file declares none.
    """

    command: str
    server: str
    database: str
    environment: str | None


@dataclass(frozen=True)
class AttemptFailed(Event):
    """An attempt of a gate failed; the gate tries again.

    Attributes:
        step: The gate's name.
        attempt: Number of the attempt, from 1.
        reason: Why it failed.
        next_try_seconds: Seconds until the next attempt.
    """

    step: str
    attempt: int
    reason: str
    next_try_seconds: float


@dataclass(frozen=True)
class GateOpened(Event):
    """A gate opened: the database is available.

    Attributes:
        step: The gate's name.
        seconds: How long it took.
        detail: A description of the server.
    """

    step: str
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class LockAwaited(Event):
    """The lock is busy; emitted at the first attempt and whenever the holder changes.

    Attributes:
        step: The scope's name.
        holder: The run that holds it.
    """

    step: str
    holder: str


@dataclass(frozen=True)
class StepBlocked(Event):
    """A step waits for a lock of another session; emitted at first and whenever the blocking sessions change.

    Attributes:
        step: The step's name.
        blocker: A description of the blocking session.
        pid: Process id of its backend; 0 for a prepared transaction.
        role: Its role; none, as for each key below, if the server hides it from our role.
        application: Its `application_name`.
        host: Host of its client; none for a local socket.
        since: Start of its transaction, as ISO 8601.
        statement: Its current or last statement; truncated if long.
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
    """A follower waits for changes that other runs have to make; emitted at first and whenever the steps change.

    Attributes:
        steps: Names of the steps.
    """

    steps: tuple[str, ...]


@dataclass(frozen=True)
class ScopeEntered(Event):
    """The lock, or another scope, was entered.

    Attributes:
        step: The scope's name.
        detail: A description of the scope.
        run_id: The run that holds the lock; none for a scope without a run.
    """

    step: str
    detail: str = ""
    run_id: str | None = None


@dataclass(frozen=True)
class ScopeLeft(Event):
    """The scope was left.

    Attributes:
        step: The scope's name.
    """

    step: str


@dataclass(frozen=True)
class StepStarted(Event):
    """A step starts to make its changes.

    Attributes:
        step: The step's name.
        uses: Its type.
        changes: Number of changes, without those that are not known yet.
    """

    step: str
    uses: str
    changes: int


@dataclass(frozen=True)
class StepProgressed(Event):
    """The progress of a step. If `detail` names what was just done, the event is worth a line of output.

    Attributes:
        step: The step's name.
        done: How much is done.
        total: How much there is to do; none if unknown.
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
    """A line printed by a tool that the step runs.

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
        result: Its state: `state` is `done`, or `skipped` if its `when` said no.
    """

    step: str
    result: PlannedStep


@dataclass(frozen=True)
class StepFailed(Event):
    """A step failed or was interrupted; the error that ends the run has the details.

    Attributes:
        step: The step's name.
        reason: Why it failed.
        seconds: How long it ran.
        rolled_back: Whether nothing of its work remains; false if some may.
        interrupted: Whether a signal, or a request to stop, ended it.
        error: Type of the error, such as `StepFailedError`.
        sqlstate: The code of the server's error; none for another one.
    """

    step: str
    reason: str
    seconds: float
    rolled_back: bool = False
    interrupted: bool = False
    error: str | None = None
    sqlstate: str | None = None


@dataclass(frozen=True)
class Warned(Event):
    """A problem that does not stop the run.

    Attributes:
        message: The problem.
        hint: What to do about it.
    """

    message: str
    hint: str | None = None


@dataclass(frozen=True)
class RunFinished(Event):
    """The last event of every run.

    Attributes:
        outcome: done, unchanged, failed or interrupted.
        seconds: How long the run took.
        applied: Number of steps that made changes.
        error: Type of the error that ended it, such as `UnreachableError`; none if none did.
        reason: What that error says.
    """

    outcome: str
    seconds: float
    applied: int = 0
    error: str | None = None
    reason: str | None = None


ALL: tuple[type[Event], ...] = (
    *(RunStarted, AttemptFailed, GateOpened, LockAwaited, ChangesAwaited, ScopeEntered, ScopeLeft, StepStarted),
    *(StepProgressed, StepReported, StepBlocked, StepApplied, StepUnchanged, StepFailed, Warned, RunFinished),
)
"""Every event there is, in the order in which a run has them."""

Emit = Callable[[Event], None]
