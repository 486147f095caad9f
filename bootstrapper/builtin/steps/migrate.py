"""migrate: brings the schema to a revision of the project's Alembic history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psycopg

from bootstrapper.errors import BootstrapperError, FencedOffError, GuardError, MigrationError, Problem
from bootstrapper.events import Warned
from bootstrapper.migrations.history import connections, describe
from bootstrapper.migrations.history.history import BrokenHistory, History
from bootstrapper.migrations.history.revisions import read_revision
from bootstrapper.migrations.history.versions import Versions
from bootstrapper.migrations.interrupted import cleanup
from bootstrapper.migrations.interrupted.after_failure import told
from bootstrapper.migrations.project.layout import DynamicProject
from bootstrapper.migrations.project.privileges import MissingRight, missing
from bootstrapper.migrations.schema.unversioned import stranger
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import Declared, State, compare, find_known, find_layout, misnamed, read_declared
from bootstrapper.migrations.worker.request import fenced_request
from bootstrapper.migrations.worker.runner import Operation, Progress
from bootstrapper.plans import SQL, Action, Bounds, Change, Deferred, Finding
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Bounded, HasHeads, ShowsSql
from bootstrapper.postgres.connection.sqlstates import INSUFFICIENT_PRIVILEGE
from bootstrapper.postgres.lock.lock import Hold


class Migrate(Step, Bounded, HasHeads, ShowsSql):
    """Applies the pending revisions, each in its own transaction, through a worker that runs the project."""

    uses = "migrate"
    transactional = False
    borrows_session = False
    options: MigrationSettings

    class With(MigrationSettings):
        """The `with:` block."""

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """What is to be mended, a revision to adopt, and the pending revisions in order.

        Raises AheadError where the database is at a revision that the code lacks, GuardError where it has tables, no
        version, and nothing to adopt, and RefusedError where the role may not create the version table.
        """
        run = run_of(context)
        declared = self._declared(run)
        state = find_known(run, declared, self.options)
        if not state.versions.is_readable:
            needs = f"the right to read {self.options.version_table_name()}"
            return [Deferred(needs, "no telling what is pending", frozenset({Action.RUN}))]
        adopted, later = self._after_adoption(run, state)
        refused = self._missing_right(run, state)
        if refused is not None and not run.earlier():  # an earlier step may grant it
            raise refused.error(run.project.target.where)
        repairs = cleanup.repairs(run, state) if self.options.repair else []
        revisions = [describe.change(revision, run.project) for revision in later.pending]
        return [*adopted, *repairs, *revisions]

    def _after_adoption(self, context: RunContext, state: State) -> tuple[list[Change], State]:
        """What is adopted at first contact, and how the database stands then."""
        if state.rows or not state.pending or not state.versions.is_readable:
            return [], state
        found = stranger(context.connection, self.options, context.project, self.name)
        if found is None:
            return [], state
        if self.options.adopt is None:
            raise GuardError(
                f"{context.project.target.where} has tables ({found}) and no version: nobody can tell what is pending",
                hint="Say where it stands: `bootstrapper stamp REVISION` (base where no revision was run), or"
                " `adopt: REVISION` under with:, which compares the schema first.",
                source=self.source,
            )
        revision = _adopted(self.options.adopt, state.declared)
        rows = state.declared.history.rows_after((), (revision,))
        reason = "if the schema is what the revisions up to it build in a scratch database"
        return [Change.run(f"adopt revision {revision}", reason=reason)], compare(state.declared, Versions(rows))

    def with_sql(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Change | Deferred]:
        run = run_of(context)
        declared = self._declared(run)
        _, state = self._after_adoption(run, find_known(run, declared, self.options))
        from bootstrapper.migrations.linting import revision_sql  # noqa: PLC0415 - the linter stays off the fast path

        return revision_sql.with_sql(changes, self.options, declared.layout, run, state.walks)

    def findings(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Finding]:
        """What the statements would lock or drop where they are shown, and what a killed run left behind.

        Where nothing is pending, no file is looked at, and a database ahead of them is none of the reader's trouble.
        """
        run = run_of(context)
        state = find_known(run, self._declared(run), self.options) if changes else None
        left = self._left(run, state)
        refused = self._missing_right(run, state) if state is not None else None
        left += [refused.finding] if refused is not None else []
        left += self._second_connections(state) if state is not None else []
        if not any(isinstance(item, Change) and SQL in item.after for item in changes):
            return left
        from bootstrapper.migrations.linting import revision_sql  # noqa: PLC0415 - the linter stays off the fast path

        each = self.options.transaction_per_migration
        return [*left, *revision_sql.findings(changes, run, transaction_per_revision=each)]

    def _missing_right(self, context: RunContext, state: State) -> MissingRight | None:
        """Asked where the first revision is to be applied, and Alembic's table to be created before it."""
        return missing(context, self.options) if state.pending and state.versions.is_missing else None

    def _left(self, context: RunContext, state: State | None) -> list[Finding]:
        """What a revision left behind, unless the step mends it itself."""
        return [] if self.options.repair else cleanup.findings(context, state)

    def _second_connections(self, state: State) -> list[Finding]:
        return connections.findings(state.pending) if self.options.transaction_per_migration else []

    def bounds(self, context: Context, changes: Sequence[Change | Deferred]) -> Bounds | None:
        return Bounds(frozenset({Action.RUN}))

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        """Runs the worker, then reads the version rows of our own database, whatever the worker said."""
        run = run_of(context)
        hold = run.hold
        if hold is None:
            raise FencedOffError("no lock is held")
        declared = self._declared(run)
        state = find_known(run, declared, self.options)
        adopted, _ = self._after_adoption(run, state)
        if adopted and self.options.adopt is not None:
            from bootstrapper.migrations.schema.adoption import Adoption  # noqa: PLC0415 - happens once in a database's life

            Adoption(self.options, declared, run, hold, _adopted(self.options.adopt, declared)).run()
            state = find_known(run, declared, self.options)
        self._repair(run, hold, state)
        if state.pending or not state.versions.is_readable:
            self._upgrade(run, hold, state)
        self._look_back(run, hold, declared)

    def _upgrade(self, context: RunContext, hold: Hold, state: State) -> None:
        asked = fenced_request(
            self.options,
            state.declared.layout,
            context.project.target,
            hold.fence,
            command="upgrade",
            step=self.name,
            targets=self.options.targets,
        )
        operation = Operation(self.options, asked, context, hold, total=len(state.pending))
        with told(operation, context, self.options, state.rows):
            self._run(operation, context, state)
        state = find_known(context, state.declared, self.options)
        if state.pending or not state.versions.is_readable:
            raise MigrationError(_shortfall(state, operation.progress, context), hint=_HINT)

    def _run(self, operation: Operation, context: RunContext, state: State) -> None:
        try:
            operation.run()
        except MigrationError as error:
            with suppress(psycopg.Error, BootstrapperError):  # why it failed counts
                _warn(context, self._left(context, find_known(context, state.declared, self.options)))
                if error.sqlstate == INSUFFICIENT_PRIVILEGE and (refused := missing(context, self.options)):
                    error.hint = error.hint or refused.hint
            raise

    def _look_back(self, context: RunContext, hold: Hold, declared: Declared) -> None:
        """What the revisions themselves left unfinished, such as a constraint that nobody validated."""
        state = find_known(context, declared, self.options)
        self._repair(context, hold, state)
        _warn(context, self._left(context, state))

    def _repair(self, context: RunContext, hold: Hold, state: State) -> None:
        if self.options.repair:
            cleanup.repair(context, hold, state, context.deadline.sooner(self.options.timeout))

    def problems(self, project: Project) -> Sequence[Problem]:
        adopted = [self.options.adopt] if self.options.adopt is not None else []
        return misnamed(self.options, project, self.source, [*self.options.targets, *adopted])

    def inputs(self, project: Project) -> Sequence[Path]:
        """The configuration, env.py, and the revisions as far as they can be found without running code."""
        layout = find_layout(self.options, project, self.source)
        try:
            return [*layout.configuration.files, layout.folder / "env.py", *layout.revision_files()]
        except DynamicProject:
            return layout.configuration.files

    def heads(self, project: Project) -> Sequence[str]:
        """As the files say without running any of them; none where only running them would tell."""
        layout = find_layout(self.options, project, self.source)
        try:
            return History(read_revision(file) for file in layout.revision_files()).heads
        except (DynamicProject, BrokenHistory):
            return ()

    def _declared(self, context: RunContext) -> Declared:
        return read_declared(
            self.options, context.project, deadline=context.deadline, report=context.report, source=self.source
        )


_HINT = "Look for an env.py that does not commit, or that does not call context.run_migrations()."


def _warn(context: RunContext, findings: Iterable[Finding]) -> None:
    for finding in findings:
        context.emit(Warned(f"{finding.target} {finding.message}", finding.remedy or None))


def _adopted(revision: str, declared: Declared) -> str:
    """The revision that the file says is to be adopted; raises GuardError where the files have none such."""
    try:
        return declared.history.targets(revision)[0]
    except BrokenHistory as error:
        raise GuardError(f"adopt: {error}") from error


def _shortfall(state: State, progress: Progress, context: RunContext) -> str:
    where, rows = context.project.target.where, state.versions.rows
    at = f"at revision {', '.join(rows)}" if rows else "at no revision"
    did = f"env.py connected to {progress.where}" if progress.where else "env.py never asked Alembic to connect"
    return f"{did} and ended without an error, but {where} is {at} with {len(state.pending)} still to apply"
