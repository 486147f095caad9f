"""revision: whether the database has reached a revision of the project's Alembic history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bootstrapper.deadline import Deadline
from bootstrapper.errors import InvalidFileError, Problem
from bootstrapper.migrations.history.versions import Versions, read_versions, rows_query
from bootstrapper.migrations.interrupted.invalid_objects import find_invalid_objects
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import Declared, State, compare, is_written_down, misnamed, read_declared
from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check, Probe
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.run_context import RunContext

_NO_TABLE = "no version table"


class RevisionCheck(Check[str]):
    """Yes at the revision or a later one; `head` is the newest of the project. No at an unknown revision."""

    key = "revision"
    pure = True
    borrows_session = False

    def probe(self) -> Probe | None:
        """Returns None if only Alembic can read the revisions, which is slow, or if the version rows do not suffice."""
        settings = self._settings()
        if settings.repair or not is_written_down(settings, self.project, self.source):
            return None
        if self.argument not in ("head", "heads"):
            self._declared(settings)  # an unknown revision is an error even before there is a version table
        return Probe(rows_query(settings), missing=Answer.no(_NO_TABLE))

    def answer(self, rows: Sequence[Sequence[Any]]) -> Answer:
        versions = Versions(tuple(row[0] for row in rows))
        return _judged(compare(self._declared(self._settings()), versions))

    def ask(self, context: Context) -> Answer:
        run = run_of(context)
        settings = self._settings()
        declared = self._declared(settings, run)
        versions = read_versions(run.connection, settings)
        if versions.is_missing:
            return Answer.no(_NO_TABLE)
        if not versions.is_readable:
            return Answer.unknown(f"permission denied for table {settings.version_table_name()}")
        left = find_invalid_objects(run.connection, self.project.ledger) if settings.repair else []
        return _judged(compare(declared, versions), sum(bool(each.repair) for each in left))

    def problems(self) -> Sequence[Problem]:
        try:
            settings = self._settings()
        except InvalidFileError as error:
            return error.problems
        if misnamed(settings, self.project, self.source, settings.targets):
            return ()  # reported by the migrate step
        return misnamed(settings, self.project, self.source, [self.argument])

    def _declared(self, settings: MigrationSettings, context: RunContext | None = None) -> Declared:
        return read_declared(
            settings.model_copy(update={"target": self.argument}),
            context.project if context else self.project,
            deadline=context.deadline if context else Deadline.never(),
            report=context.report if context else lambda line: None,
            source=self.source,
        )

    def _settings(self) -> MigrationSettings:
        """Returns the settings of the step that declares the check, else of the only migrate step."""
        options = {name: unit.options for name, unit in self.project.steps.items()}
        own = options.get(self.step)
        if isinstance(own, MigrationSettings):
            return own
        found = [settings for settings in options.values() if isinstance(settings, MigrationSettings)]
        if len(found) != 1:
            steps = "no step migrates" if not found else "several steps migrate"
            problem = f"check revision: {steps}, so that its history is ambiguous"
            raise InvalidFileError([Problem(problem, self.source)])
        return found[0]


def _judged(state: State, to_repair: int = 0) -> Answer:
    at = f"at {', '.join(state.rows)}" if state.rows else "at no revision"
    if state.unknown:
        return Answer.no(f"{at}, which the project does not have")
    if state.pending:
        return Answer.no(f"{at}, {len(state.pending)} pending")
    return Answer.no(f"{at}, {to_repair} to repair") if to_repair else Answer.yes(at)
