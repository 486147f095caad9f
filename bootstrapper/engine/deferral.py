"""Changes that depend on an unknown answer, as one bound."""

from __future__ import annotations

from bootstrapper.plans import Action, Answer, Change, Deferred, PlannedStep, total, unset_in


def bounded(
    planned: PlannedStep, changes: tuple[Change, ...], deferred: tuple[Deferred, ...]
) -> tuple[tuple[Change, ...], tuple[Deferred, ...]]:
    """Defers the changes if `when` is unknown; if the check is unknown, even without visible changes."""
    if planned.when is not None and planned.when.is_unknown and (changes or deferred):
        changes, deferred = (), _defer(planned.when, changes, deferred)
    if planned.check is not None and planned.check.is_unknown:
        changes, deferred = (), _defer(planned.check, changes, deferred)
    return changes, deferred


def _defer(answer: Answer, changes: tuple[Change, ...], deferred: tuple[Deferred, ...]) -> tuple[Deferred, ...]:
    """Returns changes that depend on an unknown answer as one bound."""
    may = frozenset(change.action for change in changes).union(*(item.may for item in deferred))
    counts = [item.at_most for item in deferred]
    known = [count for count in counts if count is not None]
    at_most = (total(changes) + sum(known) or None) if len(known) == len(counts) else None
    unset = unset_in(changes, deferred)
    targets = (*(change.target for change in changes), *(target for item in deferred for target in item.targets))
    return (
        Deferred("what earlier steps create", answer.reason, may or frozenset({Action.RUN}), at_most, unset, targets),
    )
