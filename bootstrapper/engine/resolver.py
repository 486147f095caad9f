"""Resolves the file: every step, check and fixture is validated by its own model, at its own place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bootstrapper.config.document import Place, children, validation
from bootstrapper.config.load import Loaded
from bootstrapper.config.models import StepConfig
from bootstrapper.config.partial import UNKNOWN
from bootstrapper.config.recent import Recent
from bootstrapper.engine.entry import Entry
from bootstrapper.engine.plugins import Plugins
from bootstrapper.engine.probes import FixtureCondition
from bootstrapper.engine.questions import asked_before, reaches
from bootstrapper.errors import InvalidFileError, PluginError, Problem, Source
from bootstrapper.plans import ChangeLimits
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.conditions import ConditionReader
from bootstrapper.plugin.evaluate import evaluate
from bootstrapper.plugin.faults import is_ours, validating
from bootstrapper.plugin.inspect import call_of, problem_with_value, require_no_call
from bootstrapper.plugin.options import Empty
from bootstrapper.plugin.project import Declaration, Project
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.run_url import marks
from bootstrapper.plugin.scopes import LockScope, Scope
from bootstrapper.plugin.step import Step, Unit
from bootstrapper.plugin.traits import SeedsFixtures
from bootstrapper.text import did_you_mean, nearest

_ADAPTERS = Recent[int, tuple[Any, TypeAdapter[Any]]](most=256)


def _adapter(model: Any) -> TypeAdapter[Any]:
    """Returns the adapter of a type, which is kept alive with it; equal ones, as unions in another order, differ."""
    return _ADAPTERS.get(id(model), lambda: (model, TypeAdapter(model)))[1]


class Resolver:
    """Collects every problem of the file before it raises one InvalidFileError with all of them."""

    def __init__(
        self,
        loaded: Loaded,
        plugins: Plugins,
        context: RunContext,
        problems: Sequence[Problem] = (),
        *,
        is_incomplete: bool = False,
        looks_further: bool = False,
    ) -> None:
        """Takes problems that are known already, to report them with those it finds.

        Args:
            is_incomplete: Whether plugins are missing, so that an unknown name may be right.
            looks_further: Whether our own steps and checks also look at the files that they name.
        """
        self._looks_further = looks_further
        self._are_fixtures_wrong = any(place[:1] == ("fixtures",) for place in loaded.misshapen)
        self._loaded = loaded
        self._is_incomplete = is_incomplete
        self._document = loaded.document
        self._plugins = plugins
        self._context = context
        self._problems: list[Problem] = [*loaded.problems, *problems]
        self._units: list[Unit | None] = []

    def resolve(self) -> tuple[Project, tuple[Entry, ...]]:
        """Returns the project, complete with its steps, and the entries in order."""
        steps = self._loaded.config.steps
        units = self._units = [self._unit(index, config) for index, config in enumerate(steps)]
        named = {config.name: unit for config, unit in zip(steps, units, strict=True) if unit is not None}
        declarations = {
            each.name: Declaration(each.with_, each.when is not None, each.check is not None) for each in steps
        }
        project = replace(self._context.project, steps=named, declarations=declarations)
        conditions = self._fixture_conditions(project)
        project = replace(project, fixture_conditions=conditions)
        entries = [
            self._entry(index, config, unit, project)
            for index, (config, unit) in enumerate(zip(steps, units, strict=True))
            if unit is not None
        ]
        self._require_locks()
        self._require_seeded(entries)
        self._require_answerable(entries, conditions)
        self._look_further(entries, project, conditions)
        if self._problems:
            raise InvalidFileError(dict.fromkeys(self._problems))
        return project, tuple(entries)

    def _unit(self, index: int, config: StepConfig) -> Unit | None:
        place: Place = ("steps", index)
        kind = self._plugins.steps.get(config.uses)
        if kind is None and (self._is_incomplete or config.uses == UNKNOWN):
            return None
        if kind is None:
            hint = did_you_mean(config.uses, self._plugins.steps)
            self._problem((*place, "uses"), f"unknown step {config.uses!r}", hint)
            return None
        is_misshapen = (*place, "with") in self._loaded.misshapen
        options = self._validated((*place, "with"), kind.options_type, config.with_) if not is_misshapen else None
        if options is None:
            return None
        return kind(config.name, options, self._document.source(place))

    def _validated(self, place: Place, model: Any, raw: object) -> Any:
        """Returns the block below a place, evaluated and validated; None if it is invalid."""
        try:
            data = self._evaluated(place, raw)
            with validating(model):
                return _adapter(model).validate_python(data)
        except PluginError as error:
            self._problem(place, error.message, error.hint)
        except ValidationError as error:
            self._problems += validation.problems(error, model, self._document, place)
        except InvalidFileError as error:
            self._problems += error.problems
        except _MayBeOfPlugin:
            return None
        return None

    def _evaluated(self, place: Place, raw: object) -> Any:
        try:
            if isinstance(raw, dict) and call_of(raw) is None:
                require_no_call(raw, self._plugins.values)
                return {key: self._evaluated((*place, key), item) for key, item in raw.items()}
            if isinstance(raw, list):
                return [self._evaluated((*place, position), item) for position, item in enumerate(raw)]
            if self._is_incomplete and _calls_other_than(self._plugins.values, raw):
                raise _MayBeOfPlugin
            value = evaluate(raw, self._seen_from(place, raw), database=False).value
        except ValueError as error:
            raise InvalidFileError([problem_with_value(error, self._document.source(place))]) from error
        return Empty() if value == "" != raw else value

    def _seen_from(self, place: Place, raw: object) -> RunContext:
        """Returns the context for a place: under `env` of a step, the run's own address is a variable."""
        asked = marks(raw) if isinstance(raw, str) and place[2:4] == ("with", "env") else {}
        if not asked:
            return self._context
        project = self._context.project
        return replace(self._context, project=replace(project, variables={**project.variables, **asked}))

    def _entry(self, index: int, config: StepConfig, unit: Unit, project: Project) -> Entry:
        place: Place = ("steps", index)
        when = self._reader(project, config.name, in_when=True).read((*place, "when"), config.when)
        check = self._reader(project, config.name, in_when=False).read((*place, "check"), config.check)
        if isinstance(unit, Step):
            is_misshapen = (*place, "check") in self._loaded.misshapen
            if unit.needs_check and config.check is None and not is_misshapen:
                choices = ", ".join(sorted(key for key, kind in self._plugins.checks.items() if not kind.only_in_when))
                hint = f"Choose one of {choices}; `check: never` lets it run every time."
                self._problem(place, f"step {config.name!r} needs a `check` that tells when it is done", hint)
        elif config.check is not None or config.when is not None:
            self._problem(place, f"{config.uses} takes neither `when` nor `check`")
        limits = ChangeLimits(config.limits.deletes, config.limits.updates) if config.limits else ChangeLimits()
        allowed = tuple(config.limits.allow) if config.limits else ()
        source = self._document.source(place)
        return Entry(config.name, unit, when, check, source, config.timeout, limits, allowed, config.with_)

    def _fixture_conditions(self, project: Project) -> dict[str, FixtureCondition]:
        found = {}
        for name, fixture in self._loaded.config.fixtures.items():
            condition = self._reader(project, "", in_when=True).read(("fixtures", name, "when"), fixture.when)
            if condition is not None:
                found[name] = FixtureCondition(name, condition)
        return found

    def _reader(self, project: Project, step: str, *, in_when: bool) -> ConditionReader:
        return ConditionReader(
            self._document,
            self._plugins.checks,
            self._problems,
            self._validated,
            project,
            step,
            in_when,
            self._is_incomplete,
        )

    def _require_locks(self) -> None:
        """Checks the declared types, since a lock with invalid options is still a lock."""
        locks: set[str] = set()
        for index, config in enumerate(self._loaded.config.steps):
            kind = self._plugins.steps.get(config.uses)
            if kind is None:
                locks.add(UNKNOWN)  # it may have been meant as a lock
            if kind is not None and issubclass(kind, LockScope):
                if config.uses in locks:
                    self._problem(("steps", index), f"a second {config.uses} would wait for the first one")
                locks.add(config.uses)
            if kind is not None and issubclass(kind, Step | Scope) and not locks:
                what = "step" if issubclass(kind, Step) else "scope"
                message = f"{what} {config.name!r} writes, but no lock precedes it"
                self._problem(("steps", index), message, "Put `- uses: lock` before it.")

    def _require_seeded(self, entries: Sequence[Entry]) -> None:
        declared = self._loaded.config.fixtures
        if self._has_wrong_seeder() or self._are_fixtures_wrong:
            return  # what it would have seeded is unknown
        steps = [entry.unit for entry in entries if isinstance(entry.unit, SeedsFixtures)]
        seeded = {name for step in steps for name in step.seeds(list(declared))}
        for name in declared:
            if name not in seeded:
                source = self._document.key_source(("fixtures", name))
                message = f"no step seeds fixture {name!r}"
                self._problems.append(
                    Problem(message, source, "Name it under `with: {fixtures: [...]}` of a seed step.")
                )
        for name in seeded - set(declared):
            hint = did_you_mean(name, declared, "Declare it under fixtures:.")
            self._problems.append(Problem(f"fixture {name!r} does not exist", self._seeder(entries, name), hint))

    def _has_wrong_seeder(self) -> bool:
        kinds = [self._plugins.steps.get(config.uses) for config in self._loaded.config.steps]
        seeders = [kind for kind in kinds if kind is not None and issubclass(kind, SeedsFixtures)]
        is_unknown = any(config.uses == UNKNOWN for config in self._loaded.config.steps)
        is_unknown = is_unknown or (self._is_incomplete and None in kinds)
        return is_unknown or len(seeders) > sum(isinstance(unit, tuple(seeders)) for unit in self._units)

    def _seeder(self, entries: Sequence[Entry], fixture: str) -> Source | None:
        for entry in entries:
            if isinstance(entry.unit, SeedsFixtures) and fixture in entry.unit.seeds([]):
                return entry.source
        return None

    def _require_answerable(self, entries: Sequence[Entry], conditions: Mapping[str, FixtureCondition]) -> None:
        """Checks that questions about steps name steps that exist, and form no cycle."""
        kinds = {config.name: self._plugins.steps.get(config.uses) for config in self._loaded.config.steps}
        asked = {entry.name: asked_before(entry, conditions) for entry in entries}
        about = {step: [(check, name) for check in checks for name in check.about()] for step, checks in asked.items()}
        for check, name in {
            (id(check), name): (check, name) for found in about.values() for check, name in found
        }.values():
            kind = kinds.get(name)
            if name not in kinds and (nearest(name, [each for each, found in kinds.items() if found is None])):
                continue  # the misspelt `uses` of that step is reported already
            if name not in kinds and any(place[:1] == ("steps",) for place in self._loaded.misshapen):
                continue  # of a step whose name could not be read
            if name not in kinds:
                self._problems.append(Problem(f"step {name!r} does not exist", check.source, did_you_mean(name, kinds)))
            elif kind is not None and not issubclass(kind, Step):
                self._problems.append(Problem(f"{name!r} changes nothing itself", check.source, "Name the steps."))
        for entry in entries:
            if reaches(entry.name, entry.name, about):
                self._problems.append(Problem(f"`when` of step {entry.name!r} asks about itself", entry.source))

    def _look_further(
        self, entries: Sequence[Entry], project: Project, conditions: Mapping[str, FixtureCondition]
    ) -> None:
        """Collects the problems of steps and checks; those of fixtures only if their own shape is valid.

        What ours would say here, they say as well when they look at the database; those of plugins are always asked.
        """
        are_fixtures_known = not self._are_fixtures_wrong and not self._is_incomplete
        for step in [entry.unit for entry in entries if isinstance(entry.unit, Step) and self._is_asked(entry.unit)]:
            if are_fixtures_known or not (isinstance(step, SeedsFixtures) and step.seeds(list(project.fixtures))):
                self._problems += step.problems(project)
        asked = [condition for entry in entries for condition in (entry.when, entry.check) if condition is not None]
        for condition in [*asked, *(found.condition for found in conditions.values())]:
            for check in filter(self._is_asked, condition.checks()):
                self._problems += check.problems()

    def _is_asked(self, thing: Step | Check) -> bool:
        return self._looks_further or not is_ours(type(thing))

    def _problem(self, place: Place, message: str, hint: str | None = None) -> None:
        self._problems.append(Problem(message, self._document.source(place), hint))


class _MayBeOfPlugin(Exception):  # noqa: N818 - not an error of the file
    """An unknown value function, while a plugin could not be loaded."""


def _calls_other_than(known: Collection[str], raw: object) -> bool:
    """Returns whether a value calls an unknown value function anywhere."""
    call = call_of(raw)
    if call is not None and call[0] not in known:
        return True
    return any(_calls_other_than(known, item) for item in children(raw))
