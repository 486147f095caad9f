"""migrate: brings the schema to a revision of the project's Alembic history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrapper.errors import BootstrapperError, GuardError, MigrationError, Problem
from bootstrapper.events import Warned
from bootstrapper.migrations.history import connections
from bootstrapper.migrations.history.history import BrokenHistory, History
from bootstrapper.migrations.history.revisions import read_revision
from bootstrapper.migrations.history.versions import Versions
from bootstrapper.migrations.interrupted import repair
from bootstrapper.migrations.interrupted.failure_hint import explained
from bootstrapper.migrations.interrupted.invalid_objects import InvalidObject
from bootstrapper.migrations.payloads import Adopt, Move, moves, payloads
from bootstrapper.migrations.project.layout import DynamicProject
from bootstrapper.migrations.project.privileges import MissingRight, missing
from bootstrapper.migrations.schema.unversioned import stranger
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import Declared, State, compare, find_known, find_layout, misnamed, read_declared
from bootstrapper.migrations.worker.request import fenced_request
from bootstrapper.migrations.worker.runner import Progress, WorkerRun
from bootstrapper.plans import SQL, Action, Bounds, Change, Deferred, Finding, Hazard, HazardName, TableLock
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.purity import note
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Bounded, HasHeads, Hazardous, ShowsSql
from bootstrapper.postgres.connection.sqlstates import INSUFFICIENT_PRIVILEGE
from bootstrapper.postgres.lock.hold import Hold
from bootstrapper.text import counted

if TYPE_CHECKING:
    from bootstrapper.migrations.linting.revision_sql import Rendering


class Migrate(Step[MigrationSettings], Bounded, HasHeads, Hazardous, ShowsSql):
    """Applies the pending revisions, each in its own transaction, through a worker that runs the project."""

    uses = "migrate"
    pure = True
    transactional = False
    borrows_session = False

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """Returns a revision to adopt, what is to be repaired, and the pending revisions in order.

        Raises AheadError if the database is at a revision that the project does not have, GuardError if it has tables
        but no version and no revision to adopt, and RefusedError if the role may not create the version table.
        """
        run = run_of(context)
        state = find_known(run, self._declared(run), self.options)
        if not state.versions.is_readable:
            needs = f"the right to read {self.options.version_table_name()}"
            return [Deferred(needs, "pending revisions are unknown", frozenset({Action.RUN}))]
        adopted, later = self._after_adoption(run, state)
        refused = self._missing_right(run, state)
        if refused is not None and not run.earlier():  # an earlier step may grant it
            raise refused.error(run.project.target.where, self.name)
        repairs = repair.repairs(run, state) if self.options.repair else []
        return [*adopted, *repairs, *moves(later.pending, later, run.project)]

    def _after_adoption(self, run: RunContext, state: State) -> tuple[list[Change], State]:
        """Returns the adoption of a database without a version, and the state after it."""
        if state.rows or not state.pending or not state.versions.is_readable:
            return [], state
        found = stranger(run.connection, self.options, run.project, self.name)
        if found is None:
            return [], state
        if self.options.adopt is None:
            raise GuardError(
                f"{run.project.target.where} has tables ({found}) but no Alembic version;"
                " pending revisions are unknown",
                hint="Record the version with `bootstrapper stamp REVISION` (base if no revision was run), or set"
                " `adopt: REVISION` under `with:`, which compares the schema first.",
                source=self.source,
            )
        revision = _adopted(self.options.adopt, state.declared)
        rows = state.declared.history.rows_after((), (revision,))
        reason = "if the schema equals the one that the revisions up to it build in a scratch database"
        adopted = Change.run(f"adopt revision {revision}", reason=reason, payload=Adopt(revision, state, rows))
        return [adopted], compare(state.declared, Versions(rows))

    def with_sql(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Change | Deferred]:
        moved = payloads(changes, Move)
        if not moved:
            return changes
        return self._rendering(run_of(context), moved[0].state).with_sql(changes)

    def hazards(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Hazard | TableLock]:
        moved = payloads(changes, Move)
        if moved:
            return self._rendering(run_of(context), moved[0].state).hazards(changes)
        if run_of(context).hold is None:
            return []  # at its turn it is known what is pending, or that it stays unknown
        unreadable = [item for item in changes if isinstance(item, Deferred)]
        said = "the pending revisions are unknown"
        return [
            Hazard(HazardName.UNKNOWN_SQL, f"step {self.name}", said, f"Grant {each.needs}.") for each in unreadable
        ]

    def _rendering(self, run: RunContext, state: State) -> Rendering:
        from bootstrapper.migrations.linting.revision_sql import Rendering  # noqa: PLC0415 - stays off the fast path

        return Rendering(self.options, state, run, state.walks)

    def findings(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Finding]:
        """Returns leftovers of a killed run, and what Squawk says of the statements, if they are shown.

        If nothing is pending, no file is read, and a database ahead of the files is not an error.
        """
        run = run_of(context)
        state = self._found(run, changes) if changes else None
        left = self._left(run, state)
        refused = self._missing_right(run, state) if state is not None else None
        left += [refused.finding] if refused is not None else []
        left += self._second_connections(state) if state is not None else []
        if not any(isinstance(item, Change) and SQL in item.after for item in changes):
            return left
        from bootstrapper.migrations.linting import revision_sql  # noqa: PLC0415 - the linter stays off the fast path

        return [*left, *revision_sql.findings(changes, run)]

    def _found(self, run: RunContext, changes: Sequence[Change | Deferred]) -> State:
        """Returns the state that the changes were made from; reads it again if they are only deferred ones."""
        found: list[Adopt | Move] = [*payloads(changes, Adopt), *payloads(changes, Move)]
        return found[0].state if found else find_known(run, self._declared(run), self.options)

    def _missing_right(self, run: RunContext, state: State) -> MissingRight | None:
        """Asks only if the first revision is pending, before which Alembic creates its table."""
        return missing(run, self.options) if state.pending and state.versions.is_missing else None

    def _left(self, run: RunContext, state: State | None) -> list[Finding]:
        """Returns the leftovers of revisions, unless the step repairs them itself."""
        return [] if self.options.repair else repair.findings(run, state)

    def _second_connections(self, state: State) -> list[Finding]:
        return connections.findings(state.pending) if self.options.transaction_per_migration else []

    def bounds(self, context: Context, changes: Sequence[Change | Deferred]) -> Bounds | None:
        return Bounds(frozenset({Action.RUN}))

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        run = run_of(context)
        hold, deadline = run.require_hold(), run.deadline.sooner(self.options.timeout)
        for adopt in payloads(changes, Adopt):
            from bootstrapper.migrations.schema.adoption import Adoption  # noqa: PLC0415 - happens once in a database's life

            Adoption(self.options, adopt, run, hold).run()
        repair.repair(run, hold, payloads(changes, InvalidObject), deadline)
        moved = payloads(changes, Move)
        if moved:
            self._upgrade(run, hold, moved[0].state, [each.revision.id for each in moved])
        elif any(isinstance(item, Deferred) for item in changes):
            if self.options.repair:
                repair.repair(run, hold, payloads(repair.repairs(run, None), InvalidObject), deadline)
            self._upgrade(run, hold, find_known(run, self._declared(run), self.options), None)
        if self.options.repair:  # what the revisions themselves left unfinished, such as a constraint NOT VALID
            repair.repair(run, hold, payloads(repair.repairs(run, None), InvalidObject), deadline)
        _warn(run, self._left(run, None))

    def _upgrade(self, run: RunContext, hold: Hold, state: State, revisions: Sequence[str] | None) -> None:
        """Runs the revisions, then reads the version rows of the configured database, whatever the worker reported.

        Args:
            revisions: None for all that are pending, if the version rows cannot be read.
        """
        ask = partial(
            fenced_request,
            self.options,
            state.declared.layout,
            fence=hold.fence,
            command="upgrade",
            step=self.name,
            targets=self.options.targets,
            revisions=revisions,
            rows=state.rows,
        )
        work = WorkerRun(self.options, ask, run, hold, total=len(state.pending))
        with explained(work, run, self.options, state, self._warn_after_failure):
            work.run()
        after = find_known(run, state.declared, self.options)
        if after.pending or not after.versions.is_readable:
            raise MigrationError(_shortfall(after, work.progress, run), hint=_HINT)

    def _warn_after_failure(self, error: BootstrapperError, run: RunContext, after: State) -> None:
        _warn(run, self._left(run, after))
        if getattr(error, "sqlstate", None) == INSUFFICIENT_PRIVILEGE and (refused := missing(run, self.options)):
            error.hint = error.hint or refused.hint

    def problems(self, project: Project) -> Sequence[Problem]:
        adopted = [self.options.adopt] if self.options.adopt is not None else []
        return misnamed(self.options, project, self.source, [*self.options.targets, *adopted])

    def inputs(self, project: Project) -> Sequence[Path]:
        """Returns the configuration, env.py, and the revisions as far as they can be found without running code."""
        layout = find_layout(self.options, project, self.source)
        if layout.packages:
            note(project.cache, "where Python finds packages")
        try:
            folders = layout.version_folders
            return [*layout.configuration.places, layout.folder / "env.py", *folders, *layout.revision_files()]
        except DynamicProject:
            note(project.cache, "what Alembic reads")
            return layout.configuration.files

    def heads(self, project: Project) -> Sequence[str]:
        """Returns the heads as the files declare them; none if they are known only by running code."""
        layout = find_layout(self.options, project, self.source)
        try:
            return History(read_revision(file) for file in layout.revision_files()).heads
        except (DynamicProject, BrokenHistory):
            return ()

    def _declared(self, run: RunContext) -> Declared:
        return read_declared(self.options, run.project, deadline=run.deadline, report=run.report, source=self.source)


_HINT = "Look for an env.py that does not commit, or that does not call context.run_migrations()."


def _warn(run: RunContext, findings: Iterable[Finding]) -> None:
    for finding in findings:
        run.emit(Warned(f"{finding.target} {finding.message}", finding.remedy or None))


def _adopted(revision: str, declared: Declared) -> str:
    try:
        return declared.history.targets(revision)[0]
    except BrokenHistory as error:
        raise GuardError(f"adopt: {error}") from error


def _shortfall(state: State, progress: Progress, run: RunContext) -> str:
    where, rows = run.project.target.where, state.versions.rows
    at = f"at revision {', '.join(rows)}" if rows else "at no revision"
    did = f"env.py connected to {progress.where}" if progress.where else "env.py never made Alembic connect"
    return (
        f"{did} and ended without an error, but {where} is {at} with {counted(len(state.pending), 'revision')} pending"
    )
