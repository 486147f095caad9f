"""The contract of a step, checked on a real database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bootstrapper.api.run import apply, plan
from bootstrapper.engine.open import opened
from bootstrapper.engine.request import Request
from bootstrapper.plans import Action, PlannedStep
from bootstrapper.plugin.step import Step
from bootstrapper.testing.snapshots import difference, look, row_counts, versions


class _InjectedError(Exception):
    """Raised at the fault point, after the step's `apply`."""


def assert_step_contract(request: Request, step: str) -> None:
    """Takes one step of the file through its whole life, after all steps above it were applied.

    Planned, it has changes, and planning writes nothing. Failing at the last moment, a transactional step leaves
    nothing. Applied, it has no changes left, and no table has fewer rows unless a change says so. Applied again, it
    writes nothing.

    Rows are counted where every change creates or updates: a deletion, a change `run` and a `Deferred` may remove any.

    Raises AssertionError, naming the sentence that is not true.
    """
    apply_above(request, step)
    before = look(request)
    assert planned(request, step).has_changes, (
        f"{step} has nothing to do in this database, so its contract cannot be checked"
    )
    written = difference(before, look(request))
    assert not written, f"planning {step} wrote to the database: {written}"
    if _fail_at_the_end(request, step):
        left = difference(before, look(request))
        assert not left, f"{step} failed and left something: {left}"
    counts = look(request, row_counts)
    applied = apply(request).applied
    assert step in [item.name for item in applied], f"{step} was planned and not applied"
    if not any(_may_remove_rows(item) for item in applied):
        lost = _lost(counts, look(request, row_counts))
        assert not lost, f"{step} has no change that deletes, and tables have lost rows: {lost}"
    assert not planned(request, step).has_changes, f"{step} still has changes after it was applied"
    rows = look(request, versions)
    apply(request)
    written = difference(rows, look(request, versions))
    assert not written, f"{step} wrote to the database although it had no changes: {written}"


def assert_drift_is_seen(request: Request, step: str, drift: Callable[[], None]) -> None:
    """Applies the file, lets `drift` undo or change what the step did, and applies it again.

    The step then has changes, and applying them brings back what was there before.

    Raises AssertionError, naming the sentence that is not true.
    """
    apply(request)
    before = look(request)
    drift()
    assert planned(request, step).has_changes, f"{step} does not see what was changed after it was applied"
    apply(request)
    assert not planned(request, step).has_changes, f"{step} still has changes after it was applied again"
    differing = difference(before, look(request))
    assert not differing, f"{step} was applied again, and this is not as it was before: {differing}"


def apply_above(request: Request, step: str) -> None:
    """Applies the steps above, whose effects would otherwise count as leftovers of a failing step."""
    with opened(request, "test", writes=True) as run:
        names = [entry.name for entry in run.entries if isinstance(entry.unit, Step)]
    apply(replace(request, skip=(*request.skip, *names[names.index(step) :])))


def planned(request: Request, step: str) -> PlannedStep:
    return next(item for item in plan(request).steps if item.name == step)


def _may_remove_rows(applied: PlannedStep) -> bool:
    removes = {Action.DELETE, Action.RUN}
    return bool(applied.deferred) or any(change.action in removes for change in applied.changes)


def _lost(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Returns the tables that have fewer rows than before, with both numbers; one that was dropped has none."""
    now = {table: after.get(table, "0") for table in before}
    return [f"{table}: {before[table]} to {now[table]}" for table in before if int(now[table]) < int(before[table])]


def _fail_at_the_end(request: Request, step: str) -> bool:
    """Returns whether the step was made to fail; one that is not transactional promises nothing here."""

    def fail(name: str) -> None:
        if name == step:
            raise _InjectedError

    with opened(request, "test", writes=True, after_apply=fail) as run:
        unit = next(entry.unit for entry in run.entries if entry.name == step)
        if not isinstance(unit, Step) or not unit.transactional:
            return False
        run.executor.open_gates()
        try:
            run.executor.apply()
        except _InjectedError:
            return True
    raise AssertionError(f"{step} was not applied at its turn")
