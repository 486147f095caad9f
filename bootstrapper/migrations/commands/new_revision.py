"""Writes a new revision file; a command, and no step of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bootstrapper.errors import FencedOffError, MigrationError, Source
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import find_layout
from bootstrapper.migrations.worker.request import fenced_request
from bootstrapper.migrations.worker.runner import Operation
from bootstrapper.plans import Change, Deferred
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.step import Step

_ASKED = "Alembic was asked for a revision"


class NewRevision(Step):
    """Lets Alembic write a file from its template, compared with the database where `autogenerate` says so.

    Args:
        arguments: Those of Alembic's own `revision` command.
        written: Where the path of the new file is appended.
    """

    uses = "revision"
    transactional = False
    repeatable = False
    options: MigrationSettings

    class With(MigrationSettings):
        """That of the step whose history it is."""

    def __init__(
        self,
        name: str,
        options: MigrationSettings,
        source: Source | None,
        arguments: Mapping[str, Any],
        written: list[Path],
    ) -> None:
        super().__init__(name, options, source)
        self.arguments = arguments
        self.written = written

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """The file that is missing, until Alembic was asked for it; with nothing to autogenerate it may write none."""
        run = run_of(context)
        return [] if _ASKED in run.scratch else [Change.create(f"revision file {self.arguments['message']!r}")]

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        run = run_of(context)
        if run.hold is None:
            raise FencedOffError("no lock is held")
        asked = fenced_request(
            self.options,
            find_layout(self.options, run.project, self.source),
            run.project.target,
            run.hold.fence,
            command="revision",
            step=self.name,
            arguments=self.arguments,
        )
        operation = Operation(self.options, asked, run, run.hold)
        try:
            operation.run()
        except MigrationError as error:
            if self.arguments.get("autogenerate") and "not up to date" in error.reason:
                error.hint = "Bring it to the newest revision first, with `bootstrapper upgrade`."
            raise
        run.scratch[_ASKED] = True
        self.written += operation.written
