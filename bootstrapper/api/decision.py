"""Whether a run may make its changes: asked before it has the lock, and where other runs may matter, again under it."""

from __future__ import annotations

from bootstrapper.api import saved_plans
from bootstrapper.api.planning import look, plan_of
from bootstrapper.engine import freeze, hazards, identity, undecided
from bootstrapper.engine.dependence import require_planned
from bootstrapper.engine.open import Opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import (
    AheadError,
    BlockedError,
    BootstrapperError,
    RunInterrupted,
    UnreachableError,
    UnsetVariablesError,
)
from bootstrapper.plans import Plan
from bootstrapper.plugin.judgement import LOCKED, forget
from bootstrapper.postgres.ledger import declarations


class Decision:
    """What a run is to do, and whether it may.

    Attributes:
        planned: What the run looked at last; None if it could not be looked at yet.
    """

    def __init__(self, run: Opened, request: Request) -> None:
        self._run = run
        self._request = request
        self._is_open = False
        self.planned: Plan | None = None

    @property
    def has_work(self) -> bool:
        """Whether the run is to take the lock."""
        if self._is_open or (self.planned is not None and self.planned.pending):
            return True
        return self._request.records and not self._is_frozen()

    def decide(self) -> None:
        """Decides before the lock is taken; leaves open what another run may be about to change, or has locked.

        Raises the error of what is refused whatever other runs do.
        """
        run = self._run
        run.executor.decide = self._decide_under_lock
        try:
            try:
                with undecided.impatient(run.session):
                    self.planned = self._decided()
            except BlockedError:
                if undecided.is_other_at_work(run.session, run.project.ledger):
                    raise
                self.planned = self._decided()
        except BootstrapperError as error:
            is_left_alone = run.guard is not None and run.guard.accepts(error)
            if is_left_alone or not undecided.may_change(error, run.session, run.project.ledger):
                raise
            self._is_open = True
        else:
            self._is_open = bool(run.project.cache.of(LOCKED))
        if self._is_open or self._request.records:
            identity.require_own_environment(run.session, run.project, self._request.confirmed)
        if self.planned is not None:
            run.executor.keep_to(self.planned.steps)

    def nothing_planned(self) -> Plan:
        """Returns the plan of a run for which another one did everything, or whose database is ahead."""
        return plan_of(self._run, self._run.session.server, (), None, is_result=False)

    def _decide_under_lock(self) -> None:
        """Decides what is open, and again what another run may have changed since.

        Raises UnplannedChangeError for a deletion that the first plan did not show; no reader saw that of a start.
        """
        run, shown = self._run, self.planned
        if not self._is_open and not self._was_overtaken():
            return
        forget(run.project.cache)
        self.planned = self._decided(under_lock=True)
        before = {step.name: step for step in (shown.steps if shown is not None and run.guard is None else ())}
        for step in self.planned.steps:
            if step.name in before:
                require_planned(before[step.name], step, follows_changes=False)
        run.executor.keep_to(self.planned.steps)

    def _was_overtaken(self) -> bool:
        """Returns whether another run had the lock since this one began, and what was decided then may be wrong."""
        run, hold = self._run, self._run.looker.hold
        if hold is None or (run.guard is None and not run.project.protected):
            return False
        with run.looker.read_only() as connection:
            return declarations.has_other_run(connection, run.project.ledger, hold.fence.run_id, run.session.began_at)

    def _decided(self, *, under_lock: bool = False) -> Plan:
        """Returns the plan. Raises the error of why it may not be applied."""
        run, is_last = self._run, self._run.contract is None and not self._request.records and not under_lock
        planned = self._look(is_last=is_last)
        if planned.pending and run.guard is not None:
            run.guard.require_current()
        if run.contract is not None:
            saved_plans.require_as_planned(run, run.contract, planned)
            planned = saved_plans.with_permissions(run.contract, planned)
        if planned.pending and not under_lock:
            freeze.require_unfrozen(run.session, run.project)
        if planned.unset:
            raise UnsetVariablesError(planned.unset, run.project.document.messages_for(planned.unset))
        if planned.pending:
            if not under_lock:
                identity.require_own_environment(run.session, run.project, self._request.confirmed)
            hazards.require_allowed(run.project.environment, planned.steps)
            run.executor.require_within(planned.steps)
        return planned

    def _look(self, *, is_last: bool) -> Plan:
        """A database that is ahead of the code is reported as that, whatever else is wrong with it."""
        try:
            return look(self._run, is_result=False, is_last=is_last)
        except (AheadError, BlockedError, RunInterrupted, UnreachableError):
            raise
        except BootstrapperError:
            if self._run.guard is not None:
                self._run.guard.require_current()
            raise

    def _is_frozen(self) -> bool:
        """Returns whether the database is frozen, and warns: a run with nothing to do does not fail for that."""
        frozen = freeze.freeze_of(self._run.session, self._run.project)
        if frozen is not None:
            self._request.tell(freeze.told(self._run.session, frozen))
        return frozen is not None
