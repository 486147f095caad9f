"""Makes the changes: goes through gates, scopes and steps in the file's order.

No step relies on an earlier look. Each step is looked at again at its turn, under the lock; its check
is asked once more after it was applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from bootstrapper.engine import identity, limits
from bootstrapper.engine.contract import Contract, Standing
from bootstrapper.engine.entry import Entry
from bootstrapper.engine.freeze import require_unfrozen
from bootstrapper.engine.guard import Guard
from bootstrapper.engine.look import Looker
from bootstrapper.engine.masked_errors import told
from bootstrapper.engine.run_end import note_end, note_end_anew, tend_ledger
from bootstrapper.engine.scopes import Scopes
from bootstrapper.engine.server_errors import explained
from bootstrapper.engine.turn import AfterApply, TurnTaker
from bootstrapper.errors import (
    AheadError,
    BootstrapperError,
    ForeignDatabaseError,
    RefusedError,
    RunInterrupted,
    StalePlanError,
    StepError,
    UnreachableError,
    UsageError,
)
from bootstrapper.events import Warned
from bootstrapper.plans import PlannedStep
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.scopes import Gate, LockScope, Scope
from bootstrapper.plugin.step import Step
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.lock.hold import Hold

_RECORDED = "Change that, or leave out --record: each start will be an ordinary run."


class Executor:
    """One run under the lock."""

    def __init__(
        self,
        entries: Sequence[Entry],
        session: Session,
        looker: Looker,
        after_apply: AfterApply,
        *,
        guard: Guard | None = None,
        confirmed: str | None = None,
        contract: Contract | None = None,
        record: Callable[[Hold], str] = lambda hold: "",
        records: bool = False,
    ) -> None:
        """Takes `record`, which tells why it did not record the run; if it `records`, it takes the lock in any case."""
        self._entries = tuple(entries)
        self._session = session
        self._looker = looker
        self._turns = TurnTaker(entries, looker, after_apply, contract)
        self._guard = guard
        self._contract = contract
        self._confirmed = confirmed
        self._came_back = False
        self._record = record
        self._records = records
        self.decide: Callable[[], None] = lambda: None  # under the lock; raises what refuses the changes

    @property
    def applied(self) -> list[PlannedStep]:
        """The steps that changed something until now."""
        return self._turns.applied

    @property
    def hold(self) -> Hold | None:
        """The lock that is held, or was held last."""
        return self._looker.hold

    def open_gates(self) -> None:
        """Opens every gate of the file, in order."""
        for entry in self._entries:
            if isinstance(entry.unit, Gate):
                context = self._looker.context(entry)
                with explained(entry, context):
                    entry.unit.open(Context(context))

    def keep_to(self, shown: Sequence[PlannedStep]) -> None:
        """Binds the run to a plan: only what the plan showed is deleted, or undone of the run's own changes."""
        self._turns.shown = {step.name: step for step in shown}

    def require_within(self, steps: Sequence[PlannedStep]) -> None:
        """Raises GuardError where a step would delete or update more than the file allows."""
        for entry, step in zip(self._entries, steps, strict=True):
            limits.require_within(entry, step, self._looker.context(entry))

    def apply(self) -> None:
        """Goes through everything behind the gates. Raises the error of the first step that fails."""
        self._go_through(self._entries)

    @contextmanager
    def alone(self, name: str, *, ignores_freeze: bool = True) -> Iterator[RunContext]:
        """Holds the lock around the work of a command without a step; its result is recorded as for any run.

        Work that handed the hold over has recorded that itself. Raises UsageError if the file has no lock.

        Args:
            ignores_freeze: Whether the work, which applies nothing of the file, goes on in a frozen database.
        """
        entry = next((entry for entry in self._entries if isinstance(entry.unit, LockScope)), None)
        if entry is None or not isinstance(entry.unit, LockScope):
            raise UsageError(f"{name} writes, but the file has no lock", hint="Add `- uses: lock` to steps:.")
        context = self._looker.context(entry)
        context = replace(context, project=replace(context.project, declared=dict, ignores_freeze=ignores_freeze))
        manager = entry.unit.enter(Context(context), lambda: True)
        assert manager is not None  # there always is work to do
        with manager as hold:
            self._looker.hold = hold
            try:
                yield replace(self._looker.context(entry), step=name, options=None)
            except BaseException as error:
                self._session.let_finish()
                if not hold.is_handed_over:
                    self._finish(hold, error)
                raise
            if not hold.is_handed_over:
                self._finish(hold, None)

    @property
    def may_begin_again(self) -> bool:
        """Whether the step that was at work may be started again although it is unknown how far it got."""
        return self._turns.at_work is None or self._turns.at_work.repeatable

    def come_back(self) -> None:
        """Reconnects after the connection was lost.

        Raises FencedOffError if the lock was broken meanwhile, ForeignDatabaseError if the address leads elsewhere.
        """
        self._session.close()
        self.open_gates()
        self._require_own_database()
        self.require_not_broken()
        self._looker.hold = None
        self._turns.at_work = None
        self._came_back = True

    def require_not_broken(self) -> None:
        """Raises FencedOffError if the lock of this run was broken."""
        if self.hold is not None:
            self.hold.require_not_broken()

    def _go_through(self, entries: Sequence[Entry]) -> None:
        with Scopes(self._looker) as scopes:
            for position, entry in enumerate(entries):
                match entry.unit:
                    case LockScope() as lock:
                        self._enter(entry, lock, entries[position + 1 :])
                        return
                    case Scope() as scope:
                        scopes.add(entry, scope)
                    case Step() as step:
                        self._turns.take(entry, step, scopes)

    def _enter(self, entry: Entry, lock: LockScope, later: Sequence[Entry]) -> None:
        context = self._looker.context(entry)
        with explained(entry, context):
            manager = lock.enter(Context(context), lambda: self._is_pending(later))
        if manager is None:
            return
        with manager as hold:
            self._looker.hold = hold
            try:
                self._require_own_database(hold)
                identity.require_not_restored(self._session, self._looker.context(entry).project)
                if self._guard is not None:
                    self._guard.require_current()  # a newer release may have been at work until now
                if not self._is_fulfilled(hold):
                    if not self._came_back:
                        self.decide()
                    self._note_environment(hold)
                    self._go_through(later)
            except BaseException as error:
                self._session.let_finish()
                if not self._leaves_no_trace(error) or not self._forget(hold):
                    self._finish(hold, error)
                raise
            reason = self._record(hold) if self.applied or self._records else ""
            if reason and self._records:
                context.emit(Warned(f"nothing was recorded for the quick look: {reason}", _RECORDED))
            if self.applied or self._came_back or not self._forget(hold):
                self._finish(hold, None)

    def _is_fulfilled(self, hold: Hold) -> bool:
        """Returns whether another run applied the saved plan while this one waited for the lock.

        Raises StalePlanError if a run without that plan had the lock.
        """
        if self._contract is None:
            return False
        project = self._looker.context(self._entries[0]).project
        with self._looker.read_only() as connection:
            return self._contract.stand(connection, project, besides=hold.fence.run_id) is Standing.DONE

    def _is_pending(self, entries: Sequence[Entry]) -> bool:
        """Returns whether the lock is still needed; before it is taken on a new connection, that one is looked at."""
        try:
            is_pending = self._looker.any_pending(entries) or self._records
        except AheadError as error:
            if self._guard is not None and self._guard.accepts(error):
                raise
            return True  # the run at work may be reverting revisions
        if is_pending:
            self._require_own_database()
            require_unfrozen(self._session, self._looker.context(self._entries[0]).project)
        return is_pending

    def _require_own_database(self, hold: Hold | None = None) -> None:
        """Raises ForeignDatabaseError if a new connection led to a database that the run must not write to."""
        identity.require_same_server(self._session)
        project = self._looker.context(self._entries[0]).project
        run_id = hold.fence.run_id if hold is not None else None
        identity.require_own_environment(self._session, project, self._confirmed, besides=run_id)

    def _note_environment(self, hold: Hold) -> None:
        project = self._looker.context(self._entries[0]).project
        is_confirmed = self._confirmed == self._session.server.database
        identity.note_environment(hold, project, is_confirmed=is_confirmed)

    def _leaves_no_trace(self, error: BaseException) -> bool:
        """Returns whether the run, which wrote nothing, must not count as one of this database.

        It is ahead of the code, which is accepted; or it is not ours: then a trace would make it ours; or a saved plan
        is stale: then a trace would count as its beginning.
        """
        if isinstance(error, ForeignDatabaseError):
            return True
        if isinstance(error, StalePlanError):
            return not self.applied and not self._came_back
        is_accepted = self._guard is not None and self._guard.accepts(error)
        return is_accepted and not self.applied and not self._came_back

    def _forget(self, hold: Hold) -> bool:
        """Removes a run from the ledger that had nothing to do once it had the lock."""
        try:
            with hold.transaction() as connection:
                is_forgotten = ledger.forget_run(connection, hold.fence.ledger, hold.fence.run_id)
        except psycopg.Error:
            return False
        if is_forgotten:
            self._looker.hold = None
        return is_forgotten

    def _finish(self, hold: Hold, error: BaseException | None) -> None:
        """Records the end of the run if that is still possible; a run without an end was interrupted."""
        context = self._looker.context(self._entries[0])
        interrupted = isinstance(error, KeyboardInterrupt | RunInterrupted) or context.deadline.is_stopped
        outcome = "done" if error is None else "interrupted" if interrupted else "failed"
        text = told(error, context.masker) if error is not None else None
        if error is None:
            tend_ledger(hold, context.emit)
        try:
            note_end(hold, outcome, text)
        except psycopg.Error as lost:
            if error is None:
                raise self._unrecorded(lost) from lost
        except BootstrapperError:
            if error is None:
                raise
            is_in_time = not context.deadline.has_passed
            if is_in_time and isinstance(error, StepError) and hold.is_gone:  # a step outlasted its own time
                note_end_anew(self._session, hold, outcome, text)

    def _unrecorded(self, error: psycopg.Error) -> BootstrapperError:
        """Returns why the result of a run that did its work could not be recorded."""
        where = self._session.target.where
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            said = f"all steps are done, but their result could not be recorded: {error.diag.message_primary}"
            hint = "`bootstrapper doctor` names the missing privilege."
            return RefusedError(where, said, sqlstate=error.sqlstate, hint=hint)
        return UnreachableError(where, "connection lost after all steps, while recording the result")
