"""Which checks are asked before a step is planned, and whether such questions form a cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bootstrapper.engine.entry import Entry
from bootstrapper.engine.probes import FixtureCondition
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.traits import SeedsFixtures


def asked_before(entry: Entry, conditions: Mapping[str, FixtureCondition]) -> list[Check]:
    """Returns the checks that are asked before the step is planned: of its own `when`, and of its fixtures."""
    own = list(entry.when.checks()) if entry.when is not None else []
    seeded = entry.unit.seeds(list(conditions)) if isinstance(entry.unit, SeedsFixtures) else ()
    return [*own, *(check for name in seeded if name in conditions for check in conditions[name].condition.checks())]


def reaches(start: str, goal: str, about: Mapping[str, Sequence[tuple[Check, str]]]) -> bool:
    """Returns whether questions of a step lead to another: `about` has the checks of each, and whom they name."""
    seen: set[str] = set()
    todo = [name for _, name in about.get(start, ())]
    while todo:
        name = todo.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            todo += [later for _, later in about.get(name, ())]
    return False
