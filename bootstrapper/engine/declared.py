"""Digests of single steps and fixtures: by them the ledger tells which of two configurations is the older one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bootstrapper.config.load import Loaded
from bootstrapper.engine import digest
from bootstrapper.engine.entry import Entry
from bootstrapper.engine.planner import runs_always
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import HasHeads, SeedsFixtures
from bootstrapper.postgres.ledger.declarations import UNNAMED, WHOLE

_DIGITS = 32
_BESIDE = ("timeout",)  # decides nothing about the state of the database


def declared(loaded: Loaded, project: Project, entries: Sequence[Entry]) -> Mapping[str, str]:
    """Returns a digest for each step of a run that writes data, and for each fixture.

    Left out are steps with revisions, whose order the database itself knows, and steps as `backup`, which change
    nothing in it. If all steps of the file are there, it says so: what it does not name then is not declared. A file
    without a name of its own is known again by its fixtures and their tables.
    """
    names = {entry.name for entry in entries}
    found = {WHOLE: ""} if all(config.name in names for config in loaded.config.steps) else {}
    for entry in entries:
        if isinstance(entry.unit, Step) and not isinstance(entry.unit, HasHeads) and not entry.unit.leaves_others_alone:
            found |= _of_step(loaded, project, entry, entry.unit)
    if loaded.document.data.get("name") is None:
        fixtures = [(name, config) for name, config in project.fixtures.items() if f"fixture {name}" in found]
        found |= {f"{UNNAMED}fixture {name} of {config.table or name}": "" for name, config in fixtures}
    return found


def _of_step(loaded: Loaded, project: Project, entry: Entry, step: Step) -> Iterator[tuple[str, str]]:
    """Variables of a step that always runs do not count: they may differ from one replica to the next."""
    variables = {} if runs_always(entry.check) else project.variables
    for config, raw in zip(loaded.config.steps, _steps(loaded), strict=True):
        if config.name == entry.name:
            rest = {key: item for key, item in raw.items() if key not in _BESIDE}
            files = [] if isinstance(step, SeedsFixtures) else step.inputs(project)
            yield f"step {entry.name}", _digest(project, rest, files, variables)
    for name in step.seeds(list(project.fixtures)) if isinstance(step, SeedsFixtures) else ():
        raw, file = loaded.document.data["fixtures"][name], project.fixtures[name].file
        read = [*([file] if file else []), *digest.files_of(raw, project.variables, project.values)]
        yield f"fixture {name}", _digest(project, raw, [project.path(path) for path in read], project.variables)


def _steps(loaded: Loaded) -> Sequence[Mapping[str, object]]:
    steps: Sequence[Mapping[str, object]] = loaded.document.data["steps"]
    return steps


def _digest(project: Project, raw: object, files: Sequence[Path], variables: Mapping[str, str]) -> str:
    functions = project.values
    found = digest.digest_of(raw, files, variables=variables, functions=functions, cache=project.cache)
    return found[:_DIGITS]
