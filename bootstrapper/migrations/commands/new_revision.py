"""The command `revision`: writes a new revision file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import MigrationError, Source
from bootstrapper.migrations.payloads import payloads
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import find_layout
from bootstrapper.migrations.worker.request import fenced_request
from bootstrapper.migrations.worker.runner import WorkerRun
from bootstrapper.plans import Change, Deferred
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step


@dataclass(frozen=True)
class NewFile:
    """The revision file to write: the arguments of Alembic's own `revision` command."""

    arguments: Mapping[str, Any]


@dataclass
class Written:
    """The files that Alembic wrote; None until it was asked, since without differences autogenerate writes none."""

    files: list[Path] | None = None


class NewRevision(Step[MigrationSettings]):
    """Lets Alembic write a file from its template; with `autogenerate`, from a comparison with the database.

    Args:
        arguments: The arguments of Alembic's own `revision` command.
        written: Filled in by `apply`.
    """

    uses = "revision"
    transactional = False
    repeatable = False

    def __init__(
        self,
        name: str,
        options: MigrationSettings,
        source: Source | None,
        arguments: Mapping[str, Any],
        written: Written,
    ) -> None:
        super().__init__(name, options, source)
        self.arguments = arguments
        self.written = written

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """Returns the missing file, until Alembic was asked for it."""
        if self.written.files is not None:
            return []
        return [Change.create(f"revision file {self.arguments['message']!r}", payload=NewFile(self.arguments))]

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        run = run_of(context)
        self.written.files = [path for file in payloads(changes, NewFile) for path in self._write(run, file)]

    def _write(self, run: RunContext, file: NewFile) -> list[Path]:
        hold = run.require_hold()
        ask = partial(
            fenced_request,
            self.options,
            find_layout(self.options, run.project, self.source),
            fence=hold.fence,
            command="revision",
            step=self.name,
            arguments=file.arguments,
        )
        work = WorkerRun(self.options, ask, run, hold)
        try:
            work.run()
        except MigrationError as error:
            if file.arguments.get("autogenerate") and "not up to date" in error.reason:
                error.hint = "Run `bootstrapper upgrade` first."
            raise
        return work.written
