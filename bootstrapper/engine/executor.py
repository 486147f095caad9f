"""Makes the changes: goes through gates, scopes and steps in the file's order.

Nothing is done on the strength of an earlier look. Each step is looked at again at its turn, under the lock; its check
is asked once more after it was applied.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg

from bootstrapper.config.document.required import messages
from bootstrapper.deadline import GIVE_LONGER
from bootstrapper.engine import blocking, identity
from bootstrapper.engine.dependence import require_planned
from bootstrapper.engine.lockwatch import LockWatch
from bootstrapper.engine.planner import MakeContext, Planner, explain, runs_always
from bootstrapper.engine.probes import ask_in_savepoint, ask_probes, decided
from bootstrapper.engine.resolver import Entry
from bootstrapper.errors import (
    BlockedError,
    BootstrapperError,
    FencedOffError,
    FixtureError,
    NotConvergedError,
    RunInterrupted,
    StepError,
    StepFailedError,
    UnreachableError,
    UnsetVariablesError,
    UsageError,
)
from bootstrapper.events import StepApplied, StepFailed, StepStarted, StepUnchanged, Warned
from bootstrapper.masking import Masker
from bootstrapper.plans import Answer, Change, Deferred, PlannedStep, State, total
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.conditions import Condition
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.scopes import Gate, Scope
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Parted, Prepared, Remarked, ShowsSql
from bootstrapper.postgres.connection.cutoff import cut_off
from bootstrapper.postgres.connection.session import ENDING_SECONDS, Session
from bootstrapper.postgres.connection.settings import lent
from bootstrapper.postgres.connection.sqlstates import QUERY_CANCELED, RETRY_AT_ONCE
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.lock.lock import Hold
from bootstrapper.text import error_lines, one_line

_RETRY_PAUSES = (0.1, 0.3, 1.0, 3.0)
_SHORT_LOOK_SECONDS = 3.0
_GRACE_SECONDS = 2.0  # the server's own clock ends a statement first, and leaves the connection usable


@dataclass(frozen=True)
class Turn:
    """One step at its turn: what it is, what it may use, and what it is about to change."""

    entry: Entry
    step: Step
    context: RunContext
    hold: Hold
    planned: PlannedStep

    @property
    def items(self) -> tuple[Change | Deferred, ...]:
        return (*self.planned.changes, *self.planned.deferred)

    @property
    def remarks(self) -> list[str]:
        """What is lost by the changes, fit to be shown."""
        lines = self.step.remarks(self.items) if isinstance(self.step, Remarked) else ()
        return [one_line(self.context.masker.mask(line)) for line in lines]


class Executor:
    """One run. `applied` lists the steps that changed something."""

    def __init__(
        self, entries: Sequence[Entry], session: Session, make_context: MakeContext, *, force: bool = False
    ) -> None:
        self._entries = tuple(entries)
        self._session = session
        self._make_context = make_context
        self._force = force
        self._at_work: Step | None = None
        self._has_parts = False  # of which some may be committed when one fails
        self._shown: Mapping[str, PlannedStep] = {}
        self._came_back = False
        self.applied: list[PlannedStep] = []
        self.hold: Hold | None = None

    def open_gates(self) -> None:
        for entry in self._entries:
            if isinstance(entry.unit, Gate):
                entry.unit.open(Context(self._make_context(entry)))

    def look(self, *, for_reader: bool = False, sql: bool = False) -> tuple[PlannedStep, ...]:
        """The steps as they stand now, in one READ ONLY transaction.

        Args:
            for_reader: Whether the findings are wanted as well.
            sql: Whether changes are to show their statements, which may run code of the project.
        """
        if not self._entries:
            return ()
        with self._looking() as (planner, _):
            planned = planner.plan()
            if not for_reader:
                return planned
            pairs = zip(self._entries, planned, strict=True)
            return tuple(self._reviewed(entry, step, planner.context(entry), sql=sql) for entry, step in pairs)

    def look_at_what_can_be(self) -> tuple[tuple[PlannedStep, ...], list[BootstrapperError]]:
        """As `look` for a reader, with the errors of steps that can not be looked at."""
        if not self._entries:
            return (), []
        with self._looking(lock_timeout_seconds=_SHORT_LOOK_SECONDS) as (planner, watch):
            planned, errors = planner.plan_what_can_be()
            found = []
            for entry, step in zip(self._entries, planned, strict=True):
                try:
                    is_known = step.state is not State.UNKNOWN
                    found.append(self._reviewed(entry, step, planner.context(entry), sql=False) if is_known else step)
                except UnreachableError:
                    raise
                except BootstrapperError as error:
                    errors.append(error)
                    found.append(step)
                    planner.look_on(planner.context(entry))
            context = self._context(self._entries[0])
            told = [blocking.judged(error, planner.at, watch, context.deadline) for error in errors]
            return tuple(found), told

    @staticmethod
    def _reviewed(entry: Entry, planned: PlannedStep, context: RunContext, *, sql: bool) -> PlannedStep:
        if not isinstance(entry.unit, Step) or planned.state is State.SKIPPED:
            return planned
        items: Sequence[Change | Deferred] = (*planned.changes, *planned.deferred)
        try:
            with lent(context.connection) if entry.unit.borrows_session else nullcontext():
                if sql and items and isinstance(entry.unit, ShowsSql):
                    items = entry.unit.with_sql(Context(context), items)
                findings = tuple(entry.unit.findings(Context(context), items))
        except Exception as error:
            failure = explain(entry, context, error)
            if failure is error:
                raise
            raise failure from error
        changes = tuple(item for item in items if isinstance(item, Change))
        deferred = tuple(item for item in items if isinstance(item, Deferred))
        return replace(planned, changes=changes, deferred=deferred, findings=findings)

    @contextmanager
    def reading(self, name: str) -> Iterator[psycopg.Connection[Any]]:
        """A READ ONLY transaction for the look of a command that is no step; what keeps it is told."""
        with self._session.read_only() as connection:
            is_watched = bool(self._entries)
            with blocking.told(self._context(self._entries[0]), lambda: name) if is_watched else nullcontext():
                yield connection

    def keep_to(self, shown: Sequence[PlannedStep]) -> None:
        """Binds the run to a plan: it deletes nothing, and undoes nothing of its own, that the plan did not show."""
        self._shown = {step.name: step for step in shown}

    def apply(self) -> None:
        """Goes through everything behind the gates. Raises the error of the first step that fails."""
        self._go_through(self._entries)

    @contextmanager
    def alone(self, name: str) -> Iterator[RunContext]:
        """Holds the lock around the work of a command that is no step; how it ends is noted as for any run.

        Work that handed the hold over has noted that itself. Raises UsageError where the file has no lock.
        """
        entry = next((entry for entry in self._entries if isinstance(entry.unit, Scope)), None)
        if entry is None or not isinstance(entry.unit, Scope):
            raise UsageError(f"{name} writes, and the file has no lock", hint="Add `- uses: lock` to steps:.")
        manager = entry.unit.enter(Context(self._context(entry)), lambda: True)
        assert manager is not None  # something is always to be done
        with manager as hold:
            self.hold = hold
            try:
                yield replace(self._context(entry), step=name, options=None)
            except BaseException as error:
                if not hold.is_handed_over:
                    self._finish(hold, error)
                raise
            if not hold.is_handed_over:
                self._finish(hold, None)

    @property
    def may_begin_again(self) -> bool:
        """Whether the step that was at work may be begun again although nobody knows how far it got."""
        return self._at_work is None or self._at_work.repeatable

    def come_back(self) -> None:
        """Connects again after the connection was lost; raises FencedOffError where the lock was broken meanwhile."""
        self._session.close()
        self.open_gates()
        self.require_not_broken()
        self.hold = None
        self._at_work = None
        self._came_back = True

    def require_not_broken(self) -> None:
        """Raises FencedOffError where somebody broke the lock of this run."""
        if self.hold is not None:
            self.hold.require_not_broken()

    def _go_through(self, entries: Sequence[Entry]) -> None:
        for position, entry in enumerate(entries):
            if isinstance(entry.unit, Scope):
                self._enter(entry, entry.unit, entries[position + 1 :])
                return
            if isinstance(entry.unit, Step):
                self._take_turn(entry, entry.unit)

    def _enter(self, entry: Entry, scope: Scope, later: Sequence[Entry]) -> None:
        manager = scope.enter(Context(self._context(entry)), lambda: self._any_pending(later))
        if manager is None:
            return
        with manager as hold:
            self.hold = hold
            try:
                identity.require_not_restored(self._session, self._context(entry).project)
                self._go_through(later)
            except BaseException as error:
                self._finish(hold, error)
                raise
            if self.applied or self._came_back or not self._forget(hold):
                self._finish(hold, None)

    def _forget(self, hold: Hold) -> bool:
        """Leaves no run behind where another one had done all just before this one took the lock."""
        try:
            with hold.transaction() as connection:
                is_forgotten = ledger.forget_run(connection, hold.fence.ledger, hold.fence.run_id)
        except psycopg.Error:
            return False
        if is_forgotten:
            self.hold = None
        return is_forgotten

    def _any_pending(self, entries: Sequence[Entry]) -> bool:
        """What the holder is at, which may be between two states or locked, is looked at again under the lock."""
        try:
            with self._looking() as (planner, _):
                return any(planner.plan_entry(entry.name).has_changes for entry in entries)
        except (NotConvergedError, BlockedError):
            return True
        except FixtureError as error:
            if not error.may_come:
                raise
            return True

    @contextmanager
    def _looking(
        self, make_context: MakeContext | None = None, *, lock_timeout_seconds: float | None = None
    ) -> Iterator[tuple[Planner, LockWatch]]:
        """A planner inside a READ ONLY transaction, and what sees who keeps it."""
        hold = self.hold
        reading = hold.read_only() if hold else self._session.read_only(lock_timeout_seconds=lock_timeout_seconds)
        with reading:
            planner = self._planner(make_context or self._context)
            with blocking.told(self._context(self._entries[0]), lambda: planner.at) as watch:
                yield planner, watch

    def _planner(self, make_context: MakeContext) -> Planner:
        return Planner(self._entries, make_context, force=self._force, served=self._served())

    def _served(self) -> Collection[str]:
        """What runs of the same configuration have done that took the lock after this one began. Inside a look."""
        if not any(runs_always(entry.check) for entry in self._entries):
            return ()
        project = self._make_context(self._entries[0]).project
        connection = self._session.connection
        try:
            with connection.transaction():
                done = ledger.steps_done_since(connection, project.ledger, self._session.began_at, project.inputs)
        except ledger.UNREADABLE:
            return ()
        return {entry.name for entry in self._entries if (entry.name, entry.unit.uses) in done}

    def _finish(self, hold: Hold, error: BaseException | None) -> None:
        """Writes the run's end where that is still possible; a run without an end says as much by itself."""
        masker = self._make_context(self._entries[0]).masker
        interrupted = isinstance(error, KeyboardInterrupt | RunInterrupted)
        outcome = "done" if error is None else "interrupted" if interrupted else "failed"
        text = _told(error, masker) if error is not None else None
        try:
            self._note_end(hold, outcome, text)
        except psycopg.Error as lost:
            if error is None:
                where = self._session.target.where
                raise UnreachableError(where, "the connection was lost when all was done, at noting that") from lost
        except BootstrapperError:
            if error is None:
                raise

    def _note_end(self, hold: Hold, outcome: str, text: str | None) -> None:
        """Some databases know few letters, and none a NUL."""
        storable = text.replace("\0", "").encode(errors="backslashreplace").decode() if text else None
        try:
            with hold.transaction() as connection:
                ledger.finish_run(connection, hold.fence.ledger, hold.fence.run_id, outcome, storable)
        except psycopg.errors.UntranslatableCharacter:
            self._note_end(hold, outcome, ascii(storable))

    def _take_turn(self, entry: Entry, step: Step) -> None:
        context = self._context(entry)

        def of_turn(other: Entry) -> RunContext:
            return context if other is entry else self._context(other)

        with self._looking(of_turn) as (planner, _):
            planned = planner.at_turn(entry.name)
        if not planned.has_changes:
            context.emit(StepUnchanged(entry.name, planned))
            return
        if entry.name in self._shown:
            require_planned(self._shown[entry.name], planned, follows_changes=self._follows_changes())
        if planned.unset:
            document = context.project.document
            raise UnsetVariablesError(planned.unset, messages(document, planned.unset))
        if self.hold is None:
            raise FencedOffError(f"step {entry.name!r} has changes and no lock was taken")
        self._apply(Turn(entry, step, context, self.hold, planned))

    def _follows_changes(self) -> bool:
        """Whether a step of this run was applied that may change what later ones find."""
        applied = {step.name for step in self.applied}
        units = [entry.unit for entry in self._entries if entry.name in applied]
        return any(isinstance(unit, Step) and not unit.leaves_others_alone for unit in units)

    def _apply(self, turn: Turn) -> None:
        started = time.monotonic()
        self._at_work = turn.step
        turn.context.emit(StepStarted(turn.entry.name, turn.step.uses, total(turn.planned.changes)))
        name = turn.entry.name
        with blocking.watched(turn.context, lambda: name, works_beside=not turn.step.transactional) as watch:
            self._do_in_time(turn, watch, started)
        self._at_work = None
        self.applied.append(turn.planned)
        for remark in turn.remarks:
            turn.context.emit(Warned(remark))
        turn.context.emit(StepApplied(name, turn.planned, time.monotonic() - started))

    def _do_in_time(self, turn: Turn, watch: LockWatch, started: float) -> None:
        try:
            turn.hold.note_step(turn.entry.name)
            grace = _GRACE_SECONDS if turn.step.transactional else ENDING_SECONDS
            with cut_off(turn.hold.connection, turn.context.deadline.later(grace)):
                self._do(turn)
        except BaseException as error:
            failure = blocking.judged(_judge(turn, error), turn.entry.name, watch, turn.context.deadline)
            told = _told(failure, turn.context.masker)
            turn.context.emit(
                StepFailed(turn.entry.name, told, time.monotonic() - started, self._is_undone(turn, failure))
            )
            if failure is error:
                raise
            raise failure from error

    def _is_undone(self, turn: Turn, failure: BaseException) -> bool:
        """Whether nothing of the step stays; nobody knows it of one whose connection was lost at COMMIT."""
        return turn.step.transactional and not self._has_parts and isinstance(failure, StepError)

    def _do(self, turn: Turn) -> None:
        self._has_parts = False
        if isinstance(turn.step, Prepared):
            is_lent = turn.step.borrows_session
            with turn.hold.lasting(turn.entry.name), turn.hold.lent_outside() if is_lent else nullcontext():
                turn.step.prepare(Context(turn.context), turn.items)
        if not turn.step.transactional:
            self._apply_between_rows(turn)
            return
        parts = self._parts(turn)
        if len(parts) == 1:
            self._retry(turn, partial(self._apply_in_transaction, turn))
        else:
            self._has_parts = True
            self._apply_in_parts(turn, parts)

    @staticmethod
    def _parts(turn: Turn) -> Sequence[Sequence[Change | Deferred]]:
        if not isinstance(turn.step, Parted):
            return [turn.items]
        with turn.hold.read_only():  # it may have to know the tables
            return turn.step.parts(Context(turn.context), turn.items)

    def _retry(self, turn: Turn, attempt: Callable[[], None]) -> None:
        """Tries again where the server rolled back for the sake of others; without what the attempt kept."""
        kept = dict(turn.context.scratch)
        for pause in _RETRY_PAUSES:
            try:
                attempt()
            except (psycopg.Error, BootstrapperError) as error:
                if getattr(error, "sqlstate", None) not in RETRY_AT_ONCE or turn.context.deadline.seconds_left < pause:
                    raise
                said = _short(turn, error).removeprefix(f"step {turn.entry.name!r}: ")
                turn.context.emit(Warned(f"step {turn.entry.name!r}: {said}; rolled back, trying again"))
                turn.context.scratch.clear()
                turn.context.scratch.update(kept)
                time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - two that met are not to meet again
            else:
                return
        attempt()

    def _apply_in_parts(self, turn: Turn, parts: Sequence[Sequence[Change | Deferred]]) -> None:
        """An intent before, each part in a transaction of its own, a result after."""
        with turn.hold.transaction() as connection:
            self._record(connection, turn, "intent")
        for part in parts:
            self._retry(turn, partial(self._apply_part, turn, part))
        with turn.hold.transaction(turn.context.deadline) as connection:
            self._record(connection, turn, "result")
            self._require_converged(connection, turn)

    def _apply_part(self, turn: Turn, part: Sequence[Change | Deferred]) -> None:
        with turn.hold.transaction(turn.context.deadline):
            self._let_apply(turn, part)

    def _apply_in_transaction(self, turn: Turn) -> None:
        with turn.hold.transaction(turn.context.deadline) as connection:
            self._let_apply(turn, turn.items)
            self._record(connection, turn, "result")
            self._require_converged(connection, turn)

    @staticmethod
    def _let_apply(turn: Turn, items: Sequence[Change | Deferred]) -> None:
        """Inside a transaction. The project's own statements do not see our settings, nor we what becomes of them."""
        with turn.hold.lent() if turn.step.borrows_session else nullcontext():
            turn.step.apply(Context(turn.context), items)
            turn.hold.require_transaction()

    def _apply_between_rows(self, turn: Turn) -> None:
        """An intent before, the work under a heartbeat, a result after; an intent alone means: nobody knows."""
        with turn.hold.transaction() as connection:
            self._record(connection, turn, "intent")
        with (
            turn.hold.beating(turn.entry.name),
            turn.hold.lent_outside() if turn.step.borrows_session else nullcontext(),
        ):
            turn.step.apply(Context(turn.context), turn.items)
            turn.hold.require_no_transaction()
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
            remarks=turn.remarks if kind == "result" else (),
        )

    def _require_converged(self, connection: psycopg.Connection[object], turn: Turn) -> None:
        """Asks the declared check again, or lets the step compare again; both inside a read-only window."""
        connection.execute("SAVEPOINT read_only_window")
        connection.execute("SET LOCAL transaction_read_only = on")
        if turn.entry.check is not None:
            name, answer = f"check {turn.entry.check}", _ask_after(turn.entry.check, turn.context)
        else:
            with lent(connection) if turn.step.borrows_session else nullcontext():
                left = turn.step.changes(Context(turn.context))
            name = "its own comparison"
            changes = f"{len(left)} change{'' if len(left) == 1 else 's'}"
            answer = Answer.no(f"{changes} still to make") if left else Answer.yes()
        connection.execute("ROLLBACK TO SAVEPOINT read_only_window")
        if not answer.is_yes:
            reason = f"{answer.verdict}: {answer.reason}"
            raise NotConvergedError(turn.entry.name, name, reason, source=turn.entry.source)

    def _context(self, entry: Entry) -> RunContext:
        return replace(self._make_context(entry), hold=self.hold)


def _judge(turn: Turn, error: BaseException) -> BaseException:
    """The error as ours; what the deadline cut off is told as that."""
    failure = explain(turn.entry, turn.context, error)
    is_cut = isinstance(failure, UnreachableError) or getattr(failure, "sqlstate", None) == QUERY_CANCELED
    if is_cut and turn.context.deadline.has_passed:
        return StepFailedError(
            f"step {turn.entry.name!r} was not done within its time",
            hint=GIVE_LONGER,
            source=turn.entry.source,
        )
    return failure


def _short(turn: Turn, error: BaseException) -> str:
    """In one line, without the place."""
    failure = explain(turn.entry, turn.context, error)
    said = failure.headline if isinstance(failure, BootstrapperError) else str(failure)
    return one_line(turn.context.masker.mask(said))


def _told(error: BaseException, masker: Masker) -> str:
    """As it is shown, and so noted."""
    if isinstance(error, BootstrapperError):
        return "\n".join(error_lines(error, masker.mask))
    return one_line(masker.quote(str(error)))


def _ask_after(condition: Condition, context: RunContext) -> Answer:
    """The answer once the step was applied; a check that is not asked afterwards counts as yes."""
    asked = [check for check in condition.checks() if check.asked_after]
    answers = ask_probes(context.connection, asked)

    def ask(check: Check) -> Answer:
        if not check.asked_after:
            return Answer.yes()
        return decided(answers[id(check)] if id(check) in answers else ask_in_savepoint(check, context))

    return condition.evaluate(ask)
