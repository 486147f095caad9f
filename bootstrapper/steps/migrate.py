"""migrate: brings the schema to a revision of the project's Alembic history."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bootstrapper.errors import AheadError, FencedOffError, MigrationError
from bootstrapper.migrations.history import BrokenHistory, History
from bootstrapper.migrations.layout import DynamicProject
from bootstrapper.migrations.revisions import Revision, read_revision
from bootstrapper.migrations.runner import Progress, Upgrade
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import Declared, State, find_layout, look, read_declared
from bootstrapper.step import Action, Change, Context, Deferred, Project, Step


class Migrate(Step):
    """Applies the pending revisions, each in a transaction of its own, through a worker that runs the project."""

    uses = "migrate"
    transactional = False
    options: MigrationSettings

    class With(MigrationSettings):
        """The `with:` block."""

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """The pending revisions in order; raises AheadError where the database is at one that the code lacks."""
        declared = self._declared(context)
        state = look(context.connection, declared, self.options)
        if not state.versions.is_readable:
            needs = f"the right to read {self.options.version_table_name()}"
            return [Deferred(needs, "no telling what is pending", frozenset({Action.RUN}))]
        self._require_known(state, context)
        return [_change(revision, context.project) for revision in state.pending]

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        """Runs the worker, then reads the version rows of our own database, whatever the worker said."""
        if context.hold is None:
            raise FencedOffError("no lock is held")
        declared = self._declared(context)
        upgrade = Upgrade(self.options, declared.layout, context, context.hold)
        upgrade.run()
        state = look(context.connection, declared, self.options)
        self._require_known(state, context)
        if state.pending or not state.versions.is_readable:
            raise MigrationError(_shortfall(state, upgrade.progress, context), hint=_HINT)

    def inputs(self, project: Project) -> Sequence[Path]:
        """The configuration, env.py, and the revisions as far as they can be found without running code."""
        layout = find_layout(self.options, project, self.source)
        try:
            return [*layout.configuration, layout.folder / "env.py", *layout.revision_files()]
        except DynamicProject:
            return layout.configuration

    def heads(self, project: Project) -> Sequence[str]:
        """As the files say without running any of them; none where only running them would tell."""
        layout = find_layout(self.options, project, self.source)
        try:
            return History(read_revision(file) for file in layout.revision_files()).heads
        except (DynamicProject, BrokenHistory):
            return ()

    def _declared(self, context: Context) -> Declared:
        return read_declared(
            self.options, context.project, deadline=context.deadline, report=context.report, source=self.source
        )

    def _require_known(self, state: State, context: Context) -> None:
        if state.unknown:
            raise AheadError(
                f"{context.project.target.where} is at revision {', '.join(state.unknown)},"
                f" which {state.declared.layout.script_location} does not have",
                hint="Deploy the code that has it, or a newer one.",
                source=self.source,
            )


_HINT = "Look for an env.py that does not commit, or that does not call context.run_migrations()."


def _change(revision: Revision, project: Project) -> Change:
    file = {} if revision.file is None else {"file": _relative(revision.file, project.directory)}
    return Change(Action.RUN, f"revision {revision.id}", revision.message, after=file)


def _relative(file: Path, directory: Path) -> str:
    try:
        return str(file.relative_to(directory.resolve()))
    except ValueError:
        return str(file)


def _shortfall(state: State, progress: Progress, context: Context) -> str:
    where, rows = context.project.target.where, state.versions.rows
    at = f"at revision {', '.join(rows)}" if rows else "at no revision"
    did = f"env.py connected to {progress.where}" if progress.where else "env.py never asked Alembic to connect"
    return f"{did} and ended without an error, but {where} is {at} with {len(state.pending)} still to apply"
