"""Makes the changes: goes through gates, scopes and steps in the file's order.

Nothing is done on the strength of an earlier look. Each step is looked at again at its turn, under the lock; its check
is asked once more after it was applied.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import psycopg

from bootstrapper.asking import ask_probes
from bootstrapper.condition import Condition
from bootstrapper.errors import (
    BootstrapperError,
    FencedOffError,
    NotConvergedError,
    RunInterrupted,
    StepFailedError,
    UnreachableError,
    UnsetVariablesError,
)
from bootstrapper.events import StepApplied, StepFailed, StepStarted, StepUnchanged
from bootstrapper.plan import Answer, Change, Deferred, PlannedStep
from bootstrapper.planner import MakeContext, Planner
from bootstrapper.postgres import ledger
from bootstrapper.postgres.lock import Hold
from bootstrapper.postgres.session import Session
from bootstrapper.resolver import Entry
from bootstrapper.step import Check, Context, Gate, Scope, Step


@dataclass(frozen=True)
class Turn:
    """One step at its turn: what it is, what it may use, and what it is about to change."""

    entry: Entry
    step: Step
    context: Context
    hold: Hold
    planned: PlannedStep

    @property
    def items(self) -> tuple[Change | Deferred, ...]:
        return (*self.planned.changes, *self.planned.deferred)


class Executor:
    """One run. `applied` lists the steps that changed something."""

    def __init__(
        self, entries: Sequence[Entry], session: Session, make_context: MakeContext, *, force: bool = False
    ) -> None:
        self._entries = tuple(entries)
        self._session = session
        self._make_context = make_context
        self._force = force
        self.applied: list[PlannedStep] = []
        self.hold: Hold | None = None

    def open_gates(self) -> None:
        for entry in self._entries:
            if isinstance(entry.unit, Gate):
                entry.unit.open(self._make_context(entry))

    def look(self) -> tuple[PlannedStep, ...]:
        """The steps as they stand now, in one READ ONLY transaction."""
        with self._session.read_only():
            return Planner(self._entries, self._context, force=self._force).plan()

    def apply(self) -> None:
        """Goes through everything behind the gates. Raises the error of the first step that fails."""
        self._go_through(self._entries)

    def _go_through(self, entries: Sequence[Entry]) -> None:
        for position, entry in enumerate(entries):
            if isinstance(entry.unit, Scope):
                self._enter(entry, entry.unit, entries[position + 1 :])
                return
            if isinstance(entry.unit, Step):
                self._take_turn(entry, entry.unit)

    def _enter(self, entry: Entry, scope: Scope, later: Sequence[Entry]) -> None:
        manager = scope.enter(self._context(entry), lambda: self._any_pending(later))
        if manager is None:
            return
        with manager as hold:
            self.hold = hold
            try:
                self._go_through(later)
            except BaseException as error:
                self._finish(hold, error)
                raise
            self._finish(hold, None)

    def _any_pending(self, entries: Sequence[Entry]) -> bool:
        with self._session.read_only():
            planner = Planner(self._entries, self._context, force=self._force)
            return any(planner.plan_entry(entry.name).has_changes for entry in entries)

    def _finish(self, hold: Hold, error: BaseException | None) -> None:
        """Writes the run's end where that is still possible; a run without an end says as much by itself."""
        masker = self._make_context(self._entries[0]).masker
        interrupted = isinstance(error, KeyboardInterrupt | RunInterrupted)
        outcome = "done" if error is None else "interrupted" if interrupted else "failed"
        text = masker.mask(str(error)) if error is not None else None
        try:
            with hold.transaction() as connection:
                ledger.finish_run(connection, hold.fence.ledger, hold.fence.run_id, outcome, text)
        except (psycopg.Error, BootstrapperError):
            if error is None:
                raise

    def _take_turn(self, entry: Entry, step: Step) -> None:
        with self._session.read_only():
            planned = Planner(self._entries, self._context, force=self._force).at_turn(entry.name)
        context = self._context(entry)
        if not planned.has_changes:
            context.emit(StepUnchanged(entry.name, planned))
            return
        if planned.unset:
            raise UnsetVariablesError(planned.unset)
        if self.hold is None:
            raise FencedOffError(f"step {entry.name!r} has changes and no lock was taken")
        self._apply(Turn(entry, step, context, self.hold, planned))

    def _apply(self, turn: Turn) -> None:
        started = time.monotonic()
        turn.context.emit(StepStarted(turn.entry.name, turn.step.uses, len(turn.planned.changes)))
        try:
            turn.step.prepare(turn.context, turn.items)
            if turn.step.transactional:
                self._apply_in_transaction(turn)
            else:
                self._apply_between_rows(turn)
        except BaseException as error:
            failure = self._explain(turn, error)
            turn.context.emit(StepFailed(turn.entry.name, str(failure), time.monotonic() - started))
            if failure is error:
                raise
            raise failure from error
        self.applied.append(turn.planned)
        turn.context.emit(StepApplied(turn.entry.name, turn.planned, time.monotonic() - started))

    def _apply_in_transaction(self, turn: Turn) -> None:
        with turn.hold.transaction() as connection:
            turn.step.apply(turn.context, turn.items)
            self._record(connection, turn, "result")
            self._require_converged(connection, turn)

    def _apply_between_rows(self, turn: Turn) -> None:
        """An intent before, the work under a heartbeat, a result after; an intent alone means: nobody knows."""
        with turn.hold.transaction() as connection:
            self._record(connection, turn, "intent")
        with turn.hold.beating(turn.entry.name):
            turn.step.apply(turn.context, turn.items)
        with turn.hold.transaction() as connection:
            self._record(connection, turn, "result")
            self._require_converged(connection, turn)

    def _record(self, connection: psycopg.Connection[object], turn: Turn, kind: str) -> None:
        fence = turn.hold.fence
        ledger.record_step(
            connection,
            fence.ledger,
            run_id=fence.run_id,
            step=turn.entry.name,
            uses=turn.step.uses,
            kind=kind,
            changes=turn.planned.changes,
            marks=turn.entry.marks if kind == "result" else (),
        )

    def _require_converged(self, connection: psycopg.Connection[object], turn: Turn) -> None:
        """Asks the declared check again, or lets the step compare again; both inside a read-only window."""
        connection.execute("SAVEPOINT read_only_window")
        connection.execute("SET LOCAL transaction_read_only = on")
        if turn.entry.check is not None:
            name, answer = f"check {turn.entry.check}", _ask_after(turn.entry.check, turn.context)
        else:
            left = turn.step.changes(turn.context)
            name = "its own comparison"
            answer = Answer.no(f"{len(left)} changes still to make") if left else Answer.yes()
        connection.execute("ROLLBACK TO SAVEPOINT read_only_window")
        if not answer.is_yes:
            reason = f"{answer.verdict}: {answer.reason}"
            raise NotConvergedError(turn.entry.name, name, reason, source=turn.entry.source)

    def _explain(self, turn: Turn, error: BaseException) -> BaseException:
        """Errors of the server that a step let through, as ours."""
        if not isinstance(error, psycopg.Error):
            return error
        mask = turn.context.masker.mask
        message = mask(error.diag.message_primary or type(error).__name__)
        if turn.context.session.is_open:
            return StepFailedError(
                f"step {turn.entry.name!r}: {message}", sqlstate=error.sqlstate, source=turn.entry.source
            )
        return UnreachableError(turn.context.project.target.where, f"the connection was lost: {message}")

    def _context(self, entry: Entry) -> Context:
        return replace(self._make_context(entry), hold=self.hold)


def _ask_after(condition: Condition, context: Context) -> Answer:
    """The answer once the step was applied; a check that is not asked afterwards counts as yes."""
    asked = [check for check in condition.checks() if check.asked_after]
    answers = ask_probes(context.connection, asked)

    def ask(check: Check) -> Answer:
        if not check.asked_after:
            return Answer.yes()
        return answers[id(check)] if id(check) in answers else check.ask(context)

    return condition.evaluate(ask)
