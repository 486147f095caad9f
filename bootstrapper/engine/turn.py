"""Takes steps at their turn, under the lock: looks again, makes exactly the changes that it found, asks once more."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import field, replace
from functools import partial

import psycopg

from bootstrapper.dataclass import dataclass
from bootstrapper.engine import lock_waits
from bootstrapper.engine.contract import Contract
from bootstrapper.engine.dependence import require_planned
from bootstrapper.engine.entry import Entry
from bootstrapper.engine.hazards import require_allowed_at_turn
from bootstrapper.engine.limits import require_within
from bootstrapper.engine.lock_waits import LockWatch
from bootstrapper.engine.look import Looker
from bootstrapper.engine.masked_errors import told
from bootstrapper.engine.parts import Part, parts_of
from bootstrapper.engine.probes import ask_condition
from bootstrapper.engine.scopes import Scopes
from bootstrapper.engine.server_errors import explain, judge
from bootstrapper.errors import (
    BootstrapperError,
    FencedOffError,
    NotConvergedError,
    StepError,
    UnsetVariablesError,
)
from bootstrapper.events import StepApplied, StepFailed, StepStarted, StepUnchanged, Warned
from bootstrapper.plans import Change, Deferred, PlannedStep, total
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.faults import is_ours, origin_of
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Prepared, Remarked
from bootstrapper.postgres.connection.cutoff import cut_off
from bootstrapper.postgres.connection.session import ENDING_SECONDS
from bootstrapper.postgres.connection.settings import lent
from bootstrapper.postgres.connection.sqlstates import RETRY_AT_ONCE
from bootstrapper.postgres.ledger.chain import record_step
from bootstrapper.postgres.lock.hold import Hold
from bootstrapper.text import one_line

_RETRY_PAUSES = (0.1, 0.3, 1.0, 3.0)
_GRACE_SECONDS = 2.0  # the server's own clock ends a statement first, and leaves the connection usable

AfterApply = Callable[[str], None]
"""The fault point of the engine: called with the name of a transactional step after its `apply`, before its commit."""


@dataclass(frozen=True)
class Turn:
    """One step at its turn: what it is, what it may use, what it is about to change, and since when it is at work."""

    entry: Entry
    step: Step
    context: RunContext
    hold: Hold
    planned: PlannedStep
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def items(self) -> Part:
        return (*self.planned.changes, *self.planned.deferred)

    @property
    def remarks(self) -> list[str]:
        """What the changes overwrite, masked."""
        lines = self.step.remarks(self.items) if isinstance(self.step, Remarked) else ()
        return [one_line(self.context.masker.mask(line)) for line in lines]


class TurnTaker:
    """Applies steps, one after the other.

    Attributes:
        applied: The steps that changed something.
        at_work: The step that is being applied.
        shown: The steps of the plan that the run looked at first, by name.
    """

    def __init__(
        self, entries: Sequence[Entry], looker: Looker, after_apply: AfterApply, contract: Contract | None = None
    ) -> None:
        self._entries = tuple(entries)
        self._contract = contract
        self._looker = looker
        self._after_apply = after_apply
        self._has_parts = False  # some are committed, and stay when another one fails
        self.at_work: Step | None = None
        self.shown: Mapping[str, PlannedStep] = {}
        self.applied: list[PlannedStep] = []

    def take(self, entry: Entry, step: Step, scopes: Scopes) -> None:
        """Looks at the step again, also after the scopes around it are entered, and applies it if it has changes."""
        context = self._looker.context(entry)
        look = self._looker.looking(lambda other: context if other is entry else self._looker.context(other))
        with look as (planner, _):
            planned, shown = planner.at_turn(entry.name), self.shown.get(entry.name)
            if self._contract is not None:
                self._contract.require_planned(planned)
            if shown is not None and planned.has_changes:
                require_planned(shown, planned, follows_changes=self._follows_changes())
            require_allowed_at_turn(planner, entry, planned, shown)
        if not planned.has_changes:
            context.emit(StepUnchanged(entry.name, planned))
            return
        require_within(entry, planned, context)
        if planned.unset:
            document = context.project.document
            raise UnsetVariablesError(planned.unset, document.messages_for(planned.unset))
        if self._looker.hold is None:
            raise FencedOffError(f"step {entry.name!r} has changes, but no lock was taken")
        if scopes.enter():
            self.take(entry, step, scopes)
        else:
            self._apply(Turn(entry, step, context, self._looker.hold, planned))

    def _follows_changes(self) -> bool:
        """Returns whether an applied step of this run may change what later ones find."""
        applied = {step.name for step in self.applied}
        units = [entry.unit for entry in self._entries if entry.name in applied]
        return any(isinstance(unit, Step) and not unit.leaves_others_alone for unit in units)

    def _apply(self, turn: Turn) -> None:
        self.at_work = turn.step
        turn.context.emit(StepStarted(turn.entry.name, turn.step.uses, total(turn.planned.changes)))
        name = turn.entry.name
        with lock_waits.watched(turn.context, lambda: name, works_beside=not turn.step.transactional) as watch:
            self._do_in_time(turn, watch)
        self.at_work = None
        done = turn.planned.without_payloads()
        self.applied.append(done)
        for remark in turn.remarks:
            turn.context.emit(Warned(remark))
        turn.context.emit(StepApplied(name, done, turn.seconds))

    def _do_in_time(self, turn: Turn, watch: LockWatch) -> None:
        try:
            turn.hold.note_step(turn.entry.name)
            grace = _GRACE_SECONDS if turn.step.transactional else ENDING_SECONDS
            with cut_off(turn.hold.connection, turn.context.deadline.later(grace), tidying_seconds=ENDING_SECONDS):
                self._do(turn)
        except BaseException as error:
            failure = lock_waits.judged(
                judge(turn.entry, turn.context, error), turn.entry.name, watch, turn.context.deadline
            )
            text = told(failure, turn.context.masker)
            is_undone = self._is_undone(turn, failure)
            is_interrupted = isinstance(failure, KeyboardInterrupt) or turn.context.deadline.is_stopped
            event = failed(turn.entry.name, failure, text, turn.seconds)
            turn.context.emit(replace(event, rolled_back=is_undone, interrupted=is_interrupted))
            if failure is error:
                raise
            raise failure from error

    def _is_undone(self, turn: Turn, failure: BaseException) -> bool:
        """Returns whether nothing of the step stays; unknown if the connection was lost at COMMIT."""
        may_be = turn.step.transactional and not self._has_parts and isinstance(failure, StepError)
        return may_be and not turn.hold.is_committed()

    def _do(self, turn: Turn) -> None:
        self._has_parts = False
        if isinstance(turn.step, Prepared):
            with turn.hold.lasting(turn.entry.name), _lent(turn, turn.hold.lent_outside):
                turn.step.prepare(Context(turn.context), turn.items)
        if not turn.step.transactional:
            self._apply_between_rows(turn)
            return
        parts = parts_of(turn.step, turn.context, turn.hold, turn.items)
        if parts is None:
            self._retry(turn, partial(self._apply_in_transaction, turn))
        else:
            self._apply_in_parts(turn, parts)

    def _retry(self, turn: Turn, attempt: Callable[[], None]) -> None:
        """Retries if the server rolled the transaction back for the sake of another one."""
        for pause in _RETRY_PAUSES:
            try:
                attempt()
            except (psycopg.Error, BootstrapperError) as error:
                is_worth_it = getattr(error, "sqlstate", None) in RETRY_AT_ONCE
                if not is_worth_it or turn.context.deadline.seconds_left < pause or turn.hold.is_committed():
                    raise
                said = _short(turn, error).removeprefix(f"step {turn.entry.name!r}: ")
                turn.context.emit(Warned(f"step {turn.entry.name!r}: {said}; rolled back, retrying"))
                turn.context.deadline.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - two that met are not to meet again
            else:
                return
        attempt()

    def _apply_in_parts(self, turn: Turn, parts: Iterable[Part]) -> None:
        """Records an intent, applies each part in a transaction of its own, and records the result."""
        with turn.hold.transaction() as connection:
            self._record(connection, turn, "intent")
        for part in parts:
            self._retry(turn, partial(self._apply_part, turn, part))
            self._has_parts = True
        with turn.hold.transaction(turn.context.deadline) as connection:
            self._record(connection, turn, "result")
            self._require_converged(connection, turn)

    def _apply_part(self, turn: Turn, part: Part) -> None:
        with turn.hold.transaction(turn.context.deadline):
            self._let_apply(turn, part)

    def _apply_in_transaction(self, turn: Turn) -> None:
        with turn.hold.transaction(turn.context.deadline) as connection:
            self._let_apply(turn, turn.items)
            self._record(connection, turn, "result")
            self._require_converged(connection, turn)

    def _let_apply(self, turn: Turn, items: Part) -> None:
        """Applies inside a transaction; the session's settings are the project's meanwhile, and restored afterwards."""
        with _lent(turn, turn.hold.lent):
            turn.step.apply(Context(turn.context), items)
            self._after_apply(turn.entry.name)
            turn.hold.require_transaction()

    def _apply_between_rows(self, turn: Turn) -> None:
        """Records an intent, works under a heartbeat, and records the result; without one, the result is unknown."""
        with turn.hold.transaction() as connection:
            self._record(connection, turn, "intent")
        with turn.hold.beating(turn.entry.name), _lent(turn, turn.hold.lent_outside):
            turn.step.apply(Context(turn.context), turn.items)
            turn.hold.require_no_transaction()
        with turn.hold.transaction() as connection:
            self._record(connection, turn, "result")
            self._require_converged(connection, turn)

    def _record(self, connection: psycopg.Connection[object], turn: Turn, kind: str) -> None:
        fence = turn.hold.fence
        record_step(
            connection,
            fence.ledger,
            run_id=fence.run_id,
            step=turn.entry.name,
            uses=turn.step.uses,
            kind=kind,
            changes=turn.planned.changes,
            marks=turn.entry.marks if kind == "result" else (),
            remarks=turn.remarks if kind == "result" else (),
            seconds=turn.seconds if kind == "result" else None,
        )

    def _require_converged(self, connection: psycopg.Connection[object], turn: Turn) -> None:
        """Asks the declared check again, or lets the step compare again; both inside a read-only window."""
        connection.execute("SAVEPOINT read_only_window")
        connection.execute("SET LOCAL transaction_read_only = on")
        if turn.entry.check is not None:
            name, answer = f"check {turn.entry.check}", ask_condition(turn.entry.check, turn.context, is_after=True)
            reason = None if answer.is_yes else f"{answer.verdict}: {answer.reason}"
        else:
            with lent(connection) if turn.step.borrows_session else nullcontext():
                left = turn.step.changes(Context(turn.context))
            name, reason = None, _still_found(turn.step, left) if left else None
        connection.execute("ROLLBACK TO SAVEPOINT read_only_window")
        if reason is not None:
            raise NotConvergedError(turn.entry.name, name, reason, source=turn.entry.source)


def _still_found(step: Step, left: Sequence[Change | Deferred]) -> str:
    """Returns what a step finds after it made its changes: the first one, and how many more."""
    plugin = origin_of(step)
    subject = f"plugin {plugin}: {type(step).__name__}.changes()" if plugin is not None else "its own comparison"
    first = left[0]
    shown = f"{first.action} {first.target}" if isinstance(first, Change) else f"what needs {first.needs}"
    more = f", and {len(left) - 1} more" if len(left) > 1 else ""
    return f"{subject} still finds after apply: {shown}{more}"


def failed(step: str, error: BaseException, reason: str, seconds: float) -> StepFailed:
    """Returns the event of a step that failed with this error."""
    sqlstate = getattr(error, "sqlstate", None)
    return StepFailed(step, reason, seconds, error=type(error).__name__, sqlstate=sqlstate)


def _lent(turn: Turn, lend: Callable[..., AbstractContextManager[None]]) -> AbstractContextManager[None]:
    """Returns what is around `prepare` and `apply`: the session is put back afterwards, unless the step is ours."""
    borrows = turn.step.borrows_session
    return lend(borrows=borrows) if borrows or not is_ours(type(turn.step)) else nullcontext()


def _short(turn: Turn, error: BaseException) -> str:
    """Returns the error in one line, without its place."""
    failure = explain(turn.entry, turn.context, error)
    said = failure.headline if isinstance(failure, BootstrapperError) else str(failure)
    return one_line(turn.context.masker.mask(said))
