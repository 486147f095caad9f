"""Refuses steps that would delete or update more than the file allows."""

from __future__ import annotations

from collections.abc import Iterator

from bootstrapper.engine.entry import Entry
from bootstrapper.engine.server_errors import explained
from bootstrapper.errors import GuardError
from bootstrapper.plans import Action, Finding, PlannedStep
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.traits import Limited

_KEYS = {Action.DELETE: "deletes", Action.UPDATE: "updates"}


def excesses(entry: Entry, planned: PlannedStep, context: RunContext) -> Iterator[Finding]:
    """Yields what of a planned step is more than its limits allow, so that applying it is refused."""
    yield from _of(f"step {entry.name}", entry.limits.exceeded_by(planned.changes))
    if planned.changes and isinstance(entry.unit, Limited):
        with explained(entry, context):
            found = entry.unit.limits(Context(context))
        for origin, limits in found.items():
            own = [change for change in planned.changes if change.origin == origin]
            yield from _of(f"fixture {origin}", limits.exceeded_by(own))


def _of(target: str, found: Iterator[tuple[Action, int, int]]) -> Iterator[Finding]:
    for action, count, most in found:
        said = f"{count:,} rows to {action}, more than its limit of {most:,}"
        yield Finding(target, said, f"Raise `limits: {{{_KEYS[action]}: ...}}` if that is meant.")


def require_within(entry: Entry, planned: PlannedStep, context: RunContext) -> None:
    """Raises GuardError for the first excess."""
    excess = next(excesses(entry, planned, context), None)
    if excess is not None:
        said = f"{excess.target}: {excess.message}; nothing was changed by this step"
        raise GuardError(said, hint=excess.remedy, source=entry.source)
