"""Finds the hazards and locks of planned steps, and keeps them from a protected environment unless they are allowed."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bootstrapper.engine.entry import Entry
from bootstrapper.engine.planner import Planner
from bootstrapper.errors import HazardError, Source
from bootstrapper.plans import Action, Hazard, HazardName, PlannedStep, TableLock, refused, total
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.judgement import LOCKED
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Hazardous, Limited
from bootstrapper.text import counted


def judged(planner: Planner, entry: Entry, planned: PlannedStep) -> PlannedStep:
    """Returns a step with its hazards as it stands, what is allowed of them, and its locks.

    Reads in the planner's transaction. What is deferred is judged at its turn. Where another session has locked the
    tables, a finding says so.
    """
    if not isinstance(entry.unit, Step) or not planned.has_own_changes:
        return planned
    context = planner.context(entry)
    unknown = context.project.cache.of(LOCKED)
    unknown.pop(entry.name, None)
    with planner.reading(entry, context, borrows=False):
        found = list(_hazards(entry, planned, context))
    return replace(
        planned,
        hazards=tuple(each for each in found if isinstance(each, Hazard)),
        locks=tuple(each for each in found if isinstance(each, TableLock)),
        findings=(*planned.findings, *([unknown[entry.name]] if entry.name in unknown else [])),
    )


def _hazards(entry: Entry, planned: PlannedStep, context: RunContext) -> Iterator[Hazard | TableLock]:
    if not isinstance(entry.unit, Hazardous):
        yield from _deletions(entry, planned, context)
        return
    allowed = {*context.project.allowed, *entry.allowed}
    for found in entry.unit.hazards(Context(context), (*planned.changes, *planned.deferred)):
        if isinstance(found, Hazard):
            yield _marked(found, context.project, is_allowed=found.name in allowed)
        else:
            yield found


def _deletions(entry: Entry, planned: PlannedStep, context: RunContext) -> Iterator[Hazard]:
    """Yields a hazard for each fixture of which rows are deleted, or for a step that deletes; a limit permits them."""
    deleted = [change for change in planned.changes if change.action is Action.DELETE]
    if not deleted:
        return
    name, project = HazardName.DELETE_ROWS, context.project
    bounds = entry.unit.limits(Context(context)) if isinstance(entry.unit, Limited) else {}
    is_allowed = name in {*project.allowed, *entry.allowed} or entry.limits.deletes is not None
    for origin in dict.fromkeys(change.origin for change in deleted):
        count = total(change for change in deleted if change.origin == origin)
        is_bounded = origin in bounds and bounds[origin].deletes is not None
        place = project.document.key_source(("fixtures", origin)) if origin in project.fixtures else entry.source
        target = f"fixture {origin}" if origin in project.fixtures else f"step {entry.name}"
        hazard = Hazard(name, target, f"{counted(count, 'row')} to delete", name.safer, _line(place, project))
        yield _marked(hazard, project, is_allowed=is_allowed or is_bounded)


def _line(source: Source, project: Project) -> str:
    return f"{os.path.relpath(source.file, project.directory)}:{source.line}"


def _marked(hazard: Hazard, project: Project, *, is_allowed: bool) -> Hazard:
    is_asked = project.protected and hazard.name.needs_allowance
    return replace(hazard, allowed=is_allowed) if is_asked else hazard


def require_allowed(environment: str | None, steps: Sequence[PlannedStep]) -> None:
    """Raises HazardError if a step has a hazard that lacks a permission."""
    missing = [(step, hazard) for step in steps for hazard in step.hazards if hazard.allowed is False]
    if missing:
        lines = [
            f"{hazard.name.value}: step {step.name!r}, {hazard.where}: {hazard.message}" for step, hazard in missing
        ]
        names = {step.name: [name.value for name in refused(step.hazards)] for step, _ in missing}
        raise HazardError(environment or "", names, lines)


def require_allowed_at_turn(planner: Planner, entry: Entry, now: PlannedStep, shown: PlannedStep | None) -> None:
    """Raises HazardError if a step makes changes at its turn that were not judged before, and are not allowed."""
    before = {(each.origin, each.action, each.target) for each in shown.changes} if shown is not None else set()
    is_judged = now.changes and all((each.origin, each.action, each.target) in before for each in now.changes)
    project = planner.context(entry).project
    if project.protected and not is_judged:
        require_allowed(project.environment, [judged(planner, entry, now)])
