"""`uses: seed`: writes declared rows into their tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from bootstrapper.errors import FixtureError, InvalidFileError, Problem
from bootstrapper.fixtures import apply, preparing, reviewing, seeding
from bootstrapper.fixtures.compare.keys import wrong_records
from bootstrapper.fixtures.declare.reader import declare
from bootstrapper.fixtures.declare.row_problems import problems_of
from bootstrapper.fixtures.parts import parts
from bootstrapper.plans import Action, Bounds, Change, ChangeLimits, Deferred, Finding
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.options import StepModel
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Bounded, Limited, Parted, Prepared, Remarked, SeedsFixtures


class SeedOptions(StepModel):
    fixtures: list[str] | None = Field(None, description="Names of fixtures; all if left out.")
    batch: int | None = Field(
        None, ge=1, description="Number of rows per transaction; the whole step is one transaction if left out."
    )


class Seed(Step[SeedOptions], Bounded, Limited, Parted, Prepared, Remarked, SeedsFixtures):
    """Creates, updates and deletes rows as the mode of each fixture allows, all in one transaction."""

    uses = "seed"
    pure = True
    borrows_session = False

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        run = run_of(context)
        if problems := self._contradictions(has_check=run.declaration.has_check):
            raise InvalidFileError(problems)
        try:
            rivals = self._rivals(run.project)
            return seeding.changes(run, self.options.fixtures, self.source, rivals, is_to_be_done=True)
        except FixtureError as error:
            earlier = _may_mend(run, error)
            if not earlier:
                raise
            return [_waiting(error, earlier[-1])]

    def bounds(self, context: Context, changes: Sequence[Change | Deferred]) -> Bounds | None:
        run = run_of(context)
        return seeding.bounds(run.project, self.options.fixtures, changes)

    def prepare(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        run = run_of(context)
        preparing.prepare(run, changes)

    def parts(
        self, context: Context, changes: Sequence[Change | Deferred]
    ) -> Sequence[Sequence[Change | Deferred]] | None:
        return parts(run_of(context), changes, self.options.batch) if self.options.batch is not None else None

    def remarks(self, changes: Sequence[Change | Deferred]) -> Sequence[str]:
        return reviewing.overwritten(changes)

    def findings(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Finding]:
        run = run_of(context)
        try:
            return reviewing.findings(run, self.options.fixtures, changes, self.source)
        except FixtureError as error:
            if not _may_mend(run, error):
                raise
            return ()  # the deferred change has the message

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        run = run_of(context)
        apply.apply(run, self.options.fixtures, changes, self.source)

    def limits(self, context: Context) -> Mapping[str, ChangeLimits]:
        project = run_of(context).project
        wanted = self.seeds(list(project.fixtures))
        found = {name: seeding.limits(project, name) for name in wanted if name in project.fixtures}
        return {name: limits for name, limits in found.items() if limits is not None}

    def seeds(self, declared: Collection[str]) -> Collection[str]:
        return declared if self.options.fixtures is None else self.options.fixtures

    def problems(self, project: Project) -> Sequence[Problem]:
        try:
            fixtures = declare(project)
        except InvalidFileError as error:
            return error.problems
        found = list(problems_of(fixtures, project.values))
        own = [fixtures[name] for name in self.seeds(list(fixtures)) if name in fixtures]
        found += [problem for fixture in own for problem in wrong_records(fixture)]
        return [*self._contradictions(has_check=project.declarations[self.name].has_check), *dict.fromkeys(found)]

    def _rivals(self, project: Project) -> Collection[str]:
        """Returns the fixtures that other steps seed in every run: both must set a cell to the same value."""
        others = [
            step
            for name, step in project.steps.items()
            if isinstance(step, SeedsFixtures) and not project.declarations[name].has_when
        ]
        return {name for step in others if step.name != self.name for name in step.seeds(list(project.fixtures))}

    def _contradictions(self, *, has_check: bool) -> list[Problem]:
        if self.options.batch is None or not has_check:
            return []
        message = "`batch` commits in parts, so a `check` could pass before all of them are done"
        return [Problem(message, self.source, "Leave out one of the two.")]

    def inputs(self, project: Project) -> Sequence[Path]:
        fixtures = [project.fixtures[name] for name in self.seeds(list(project.fixtures)) if name in project.fixtures]
        return [project.path(fixture.file) for fixture in fixtures if fixture.file is not None]


def _may_mend(context: RunContext, error: FixtureError) -> Sequence[str]:
    """Returns the earlier steps that may change the tables or types for which the server refuses something now."""
    return context.earlier() if error.sqlstate is not None else ()


def _waiting(error: FixtureError, step: str) -> Deferred:
    return Deferred(f"step {step}", f"as things are now: {error}", frozenset({Action.CREATE, Action.UPDATE}))
