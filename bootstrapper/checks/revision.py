"""revision: whether the database has been through a revision of the project's Alembic history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from bootstrapper.deadline import Deadline
from bootstrapper.errors import InvalidFileError, Problem
from bootstrapper.migrations.leftovers import leftovers_parameters, leftovers_query
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import Declared, compare, misnamed, read_declared
from bootstrapper.migrations.versions import Versions, rows_query
from bootstrapper.step import Answer, Check, Probe

_WITH_LEFTOVERS = """
SELECT versions.*, (SELECT count(*) FROM ({leftovers}) AS l WHERE l.repair <> '') FROM ({rows}) AS versions
"""

READING_SECONDS = 60.0
"""How long Alembic may take where it has to read the revisions itself."""


class RevisionCheck(Check):
    """Yes at the revision or past it; `head` is the code's newest. No where the code does not know the database's."""

    key = "revision"
    Argument = str

    def probe(self) -> Probe:
        settings = self._settings()
        if self.argument not in ("head", "heads"):
            self._declared(settings)  # a revision that no file has is an error already while there is no version table
        missing = Answer.no("no version table")
        if not settings.repair:
            return Probe(rows_query(settings), missing=missing)
        statement = sql.SQL(_WITH_LEFTOVERS).format(rows=rows_query(settings), leftovers=leftovers_query())
        return Probe(statement, leftovers_parameters(self.project.ledger), missing=missing)

    def answer(self, rows: Sequence[Sequence[Any]]) -> Answer:
        settings = self._settings()
        declared = self._declared(settings)
        found = tuple(row[0] for row in rows)
        state = compare(declared, Versions(found))
        at = f"at {', '.join(found)}" if found else "at no revision"
        if state.unknown:
            return Answer.no(f"{at}, which the code does not have")
        if state.pending:
            return Answer.no(f"{at}, {len(state.pending)} pending")
        if settings.repair and rows and rows[0][1]:
            return Answer.no(f"{at}, {rows[0][1]} to repair")
        return Answer.yes(at)

    def problems(self) -> Sequence[Problem]:
        try:
            settings = self._settings()
        except InvalidFileError as error:
            return error.problems
        if misnamed(settings, self.project, self.source, settings.targets):
            return ()  # the step that migrates says it
        return misnamed(settings, self.project, self.source, [self.argument])

    def _declared(self, settings: MigrationSettings) -> Declared:
        return read_declared(
            settings.model_copy(update={"target": self.argument}),
            self.project,
            deadline=Deadline.after(READING_SECONDS),
            report=lambda line: None,
            source=self.source,
        )

    def _settings(self) -> MigrationSettings:
        """Those of the step that declares the check, else of the only step that migrates."""
        options = {name: unit.options for name, unit in self.project.steps.items()}
        own = options.get(self.step)
        if isinstance(own, MigrationSettings):
            return own
        found = [settings for settings in options.values() if isinstance(settings, MigrationSettings)]
        if len(found) != 1:
            steps = "no step migrates" if not found else "several steps migrate"
            problem = f"check revision: {steps}, so it does not say which history is meant"
            raise InvalidFileError([Problem(problem, self.source)])
        return found[0]
