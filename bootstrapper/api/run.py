"""Plans and applies: each function of a command returns data, and never prints, exits or reads the environment."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from bootstrapper.api import saved_plans
from bootstrapper.api.decision import Decision
from bootstrapper.api.interruption import stoppable
from bootstrapper.api.outcomes import Followed, Outcome, Ready
from bootstrapper.api.planning import identity_of, look
from bootstrapper.api.repeated import once
from bootstrapper.api.run_end import run_end
from bootstrapper.engine import follow as following
from bootstrapper.engine import freeze, hazards, identity, reconnect
from bootstrapper.engine.contract import Standing, key_needed
from bootstrapper.engine.guard import left_alone
from bootstrapper.engine.open import Opened, opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import AheadError
from bootstrapper.masking import masked
from bootstrapper.migrations.commands.relative import RELATIVE, resolve_relative
from bootstrapper.plans import Plan
from bootstrapper.plugin.step import Step

if TYPE_CHECKING:  # loaded by the command alone
    from bootstrapper.fixtures.pull.pulling import Pulled, Wanted


def plan(request: Request, command: str = "plan", *, is_to_be_saved: bool = False, judges: bool | None = None) -> Plan:
    """What `apply` would do. Leaves nothing behind, in the database or beside it.

    Args:
        request: What to plan; with a saved plan, whether that would still be applied.
        command: Name of the command.
        is_to_be_saved: Whether the plan is to be saved, for which a protected environment demands a key.
        judges: False to leave out the hazards, for which code of the project may have to run.
    """
    with stoppable(request.stop), opened(request, command, writes=False) as run:
        if is_to_be_saved and run.project.protected and request.plan_key is None:
            raise key_needed(run.project)
        run.executor.open_gates()
        if is_to_be_saved:
            saved_plans.require_readable_ledger(run)
        if run.contract is not None and saved_plans.require_same(run, run.contract) is Standing.DONE:
            return run.contract.plan
        found = look(run, sql=request.sql, judges=judges, selection=request.selection)
        planned = masked(found, request.masker.mask)
        if run.contract is not None:
            saved_plans.require_as_planned(run, run.contract, planned)
            planned = saved_plans.with_permissions(run.contract, planned)
        if planned.pending and run.guard is not None:
            run.guard.require_current()
        frozen = freeze.freeze_of(run.session, run.project)
        if frozen is not None:
            request.tell(freeze.told(run.session, frozen))
        for warning in identity.expected(run.session, run.project, is_pending=bool(planned.pending)):
            request.tell(warning)
        return planned


def require_allowed(planned: Plan) -> None:
    """Raises HazardError for a plan that `apply` would refuse for its hazards."""
    hazards.require_allowed(planned.environment, planned.steps)


def is_left_alone(request: Request) -> bool:
    """Whether the start of the application would write nothing since the database is ahead, and that is accepted."""
    with stoppable(request.stop), opened(request, "plan", writes=False) as run:
        run.executor.open_gates()
        try:
            if run.guard is not None:
                run.guard.require_current()
        except AheadError as error:
            if not error.is_acceptable:
                raise
            return True
        return False


def apply(request: Request, command: str = "apply") -> Outcome:
    """Does what there is to do, under the lock.

    Raises the error of the first step that failed; what earlier steps committed stays.
    """
    with (
        run_end(request) as end,
        stoppable(request.stop),
        opened(end.request, command, writes=True) as run,
    ):
        applied = end.applied = run.executor.applied
        run.executor.open_gates()
        is_embedded = run.address.embedded is not None
        if run.contract is not None and saved_plans.require_same(run, run.contract) is Standing.DONE:
            end.outcome = "unchanged"
            return Outcome(run.contract.plan, (), None, end.seconds, is_embedded, was_applied=True)
        planned, is_ahead = _bring_up(run, end.request)
        end.outcome = "done" if applied else "unchanged"
        run_id = run.executor.hold.fence.run_id if run.executor.hold else None
        return Outcome(planned, tuple(applied), run_id, end.seconds, is_embedded, is_ahead)


def _bring_up(run: Opened, request: Request) -> tuple[Plan, bool]:
    """Looks, and makes the changes; returns the plan, and whether the database was left alone since it is ahead."""
    decision = Decision(run, request)
    try:
        decision.decide()
        if decision.has_work:
            reconnect.apply(run.executor, run.deadline, request.tell)
    except AheadError as error:
        if run.guard is None or not run.guard.accepts(error):
            raise
        request.tell(left_alone(error, is_partly_done=bool(run.executor.applied)))
        return decision.planned or decision.nothing_planned(), True
    return decision.planned or decision.nothing_planned(), False


def follow(request: Request, *, looks_once: bool = False) -> Followed:
    """Waits until others have reached the declared state; takes no lock, writes nothing.

    Raises PendingError at the deadline, or after one look if that is all; FrozenError if the database is frozen then.
    """
    started = time.monotonic()
    request = replace(request, emit=once(request.emit))
    with stoppable(request.stop), opened(request, "check" if looks_once else "apply", writes=False) as run:
        is_reached = following.follow(
            run.executor,
            run.looker,
            run.session,
            run.deadline,
            request.tell,
            freeze=freeze.FreezeWatch(run.session, run.project, request.tell),
            guard=run.guard,
            once=looks_once,
        )
    return Followed(is_reached, time.monotonic() - started)


def wait(request: Request) -> Ready:
    """Only opens the gates; a file without any still has to be answered by its database."""
    started = time.monotonic()
    with stoppable(request.stop), opened(request, "wait", writes=True, queues=False) as run:
        run.executor.open_gates()
        run.session.open()
        run.session.prove()
        return Ready(identity_of(run, run.session.server), time.monotonic() - started)


def pull(request: Request, wanted: Wanted) -> Pulled:
    """Fixtures from the rows that tables hold at this moment. Writes nothing to the database, and takes no lock."""
    from bootstrapper.fixtures.pull import pulling  # noqa: PLC0415 - only this command needs it

    with opened(request, "pull", writes=False) as run:
        run.executor.open_gates()
        with run.looker.reading("pull") as connection:
            return pulling.pull(connection, wanted, run.project)


def relative_target(request: Request, text: str) -> str:
    """The revision that `+1` or `-2` stands for in the database as it is now; any other text as it is."""
    if not RELATIVE.fullmatch(text):
        return text
    with opened(request, "plan", writes=False) as run:
        run.executor.open_gates()
        with run.session.read_only() as connection:
            unit = next(entry.unit for entry in run.entries if isinstance(entry.unit, Step))
            return resolve_relative(connection, unit.options, run.project, run.deadline, text)
