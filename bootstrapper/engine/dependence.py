"""Works out what earlier steps with changes may cause in later ones: in plans, and as a limit for runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from bootstrapper.engine.entry import Entry
from bootstrapper.engine.server_errors import explained
from bootstrapper.errors import StalePlanError, UnplannedChangeError
from bootstrapper.plans import Action, Bounds, Change, Deferred, PlannedStep, State, total
from bootstrapper.plans.difference import done
from bootstrapper.plugin.conditions import Condition
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Bounded
from bootstrapper.text import counted, listed

_SHOWN_AS = {
    Action.DELETE: {Action.DELETE},
    Action.UPDATE: {Action.UPDATE, Action.CREATE},
    Action.CREATE: {Action.CREATE},
    Action.RUN: {Action.RUN},
}
"""Actions of a plan that announce another: a row to create may turn out to exist, with other values."""


_ANYTHING = Bounds(frozenset(Action) - {Action.DELETE})


def with_dependence(
    entry: Entry, step: Step, planned: PlannedStep, earlier: Sequence[str], context: RunContext
) -> PlannedStep:
    """Returns the step as it stands now, with what the earlier steps may cause in it.

    Args:
        earlier: Names of the steps before it that have changes of their own and may give it more to do.
    """
    if not earlier or planned.state is State.UNKNOWN or _is_settled(_decisive(entry, planned)):
        return planned
    items: Sequence[Change | Deferred] = (*planned.changes, *planned.deferred)
    with explained(entry, context):
        bounds = step.bounds(Context(context), items) if isinstance(step, Bounded) else _ANYTHING
    if bounds is None:
        return planned
    if planned.has_changes:
        return replace(planned, deferred=(*planned.deferred, _after(earlier, bounds)))
    reason = f"{planned.reason or 'done'} now; {listed(earlier)} may change it"
    return replace(planned, state=State.DEFERRED, reason=reason, deferred=(_after(earlier, bounds),))


def _after(earlier: Sequence[str], bounds: Bounds) -> Deferred:
    return Deferred(f"step {earlier[-1]}", "", bounds.may, bounds.at_most, after=tuple(earlier))


def _decisive(entry: Entry, planned: PlannedStep) -> Condition | None:
    """Returns the condition whose answer alone means that the step has nothing to do; None if a comparison decides."""
    if planned.state is State.SKIPPED:
        return entry.when
    return entry.check if planned.state is State.DONE and planned.check is not None else None


def _is_settled(condition: Condition | None) -> bool:
    return condition is not None and all(check.is_settled for check in condition.checks())


def require_planned(shown: PlannedStep, now: PlannedStep, *, follows_changes: bool) -> None:
    """Raises UnplannedChangeError for a deletion that the plan did not show, and for an update that may undo what an
    earlier step of the run did, if the plan did not announce it.

    Args:
        shown: The step as it was planned.
        now: The step at its turn.
        follows_changes: Whether earlier steps of the run changed something.
    """
    for action in (Action.DELETE, Action.UPDATE) if follows_changes else (Action.DELETE,):
        unplanned = [change for change in now.changes if change.action is action and not _is_shown(shown, now, change)]
        if unplanned:
            raise UnplannedChangeError(now.name, action.value, unplanned[0].target, total(unplanned))


def require_bounded(shown: PlannedStep, now: PlannedStep) -> None:
    """Raises StalePlanError for any change at the step's turn that the plan neither shows nor bounds."""
    unplanned = [change for change in now.changes if not _is_shown(shown, now, change) or _is_unseen(shown, change)]
    if unplanned:
        raise StalePlanError(f"{done(unplanned[0])} was not planned", step=now.name)
    bounds = [item.at_most for item in shown.deferred]
    known = [most for most in bounds if most is not None]
    most = total(shown.changes) + sum(known)
    if len(known) == len(bounds) and total(now.changes) > most:
        raise StalePlanError(
            f"{counted(total(now.changes), 'change')} to make, and at most {most:,} were planned", step=now.name
        )


def _is_shown(shown: PlannedStep, now: PlannedStep, change: Change) -> bool:
    possible = [item for item in shown.deferred if change.action in item.may or not item.may]
    if change.action is not Action.DELETE and possible:
        return True
    if any(change.target in item.targets for item in possible):
        return True
    planned = _of(shown, _SHOWN_AS[change.action], change.origin)
    if any(change.target == other.target for other in planned):
        return True
    has_unlisted = any(other.count > 1 for other in planned)
    return has_unlisted and total(_of(now, {change.action}, change.origin)) <= total(planned)


def _is_unseen(shown: PlannedStep, change: Change) -> bool:
    """Returns whether rows are deleted that the plan neither lists nor covers by its digest of the others."""
    if change.action is not Action.DELETE or any(change.target in item.targets for item in shown.deferred):
        return False
    listed = [(other.target, other.digest) for other in _of(shown, {Action.DELETE}, change.origin)]
    return (change.target, change.digest) not in listed


def _of(step: PlannedStep, actions: Collection[Action], origin: str) -> list[Change]:
    return [change for change in step.changes if change.action in actions and change.origin == origin]
