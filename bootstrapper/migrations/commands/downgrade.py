"""Takes revisions back; a command, and no step that a file could declare."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bootstrapper.errors import FencedOffError, GuardError, InvalidFileError, MigrationError, Problem, Source
from bootstrapper.migrations.history import describe
from bootstrapper.migrations.history.history import BrokenHistory, NoSuchRevision
from bootstrapper.migrations.history.revisions import Revision
from bootstrapper.migrations.interrupted.after_failure import told
from bootstrapper.migrations.linting import revision_sql
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import State, find_known, read_declared
from bootstrapper.migrations.worker.request import fenced_request
from bootstrapper.migrations.worker.runner import Operation
from bootstrapper.plans import Action, Change, Deferred, Finding
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import ShowsSql

BASE = "base"


class Downgrade(Step, ShowsSql):
    """Brings the schema down to a revision, one transaction a revision, through the worker.

    Args:
        target: A revision, or base; no relative one, which would mean another state at each look.
        confirmed: Revisions that somebody agreed to take back; None where nobody was asked.
    """

    uses = "downgrade"
    transactional = False
    options: MigrationSettings

    class With(MigrationSettings):
        """That of the step whose history it is."""

    def __init__(
        self,
        name: str,
        options: MigrationSettings,
        source: Source | None,
        target: str,
        confirmed: Collection[str] | None = None,
    ) -> None:
        super().__init__(name, options, source)
        self.target = target
        self.confirmed = confirmed

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """The revisions to take back, newest first.

        Raises InvalidFileError where there is no such revision, and MigrationError where it is not below.
        """
        run = run_of(context)
        _, undone = self._look(run)
        return [describe.change(revision, run.project, Action.DELETE) for revision in undone]

    def with_sql(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Change | Deferred]:
        run = run_of(context)
        state, _ = self._look(run)
        walks = [(state.rows, self.target)]
        return revision_sql.with_sql(changes, self.options, state.declared.layout, run, walks, direction="downgrade")

    def findings(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Finding]:
        """What the statements would drop and lock."""
        run = run_of(context)
        each = self.options.transaction_per_migration
        return revision_sql.findings(changes, run, transaction_per_revision=each)

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        run = run_of(context)
        if run.hold is None:
            raise FencedOffError("no lock is held")
        state, undone = self._look(run)
        self._require_confirmed(undone)
        asked = fenced_request(
            self.options,
            state.declared.layout,
            run.project.target,
            run.hold.fence,
            command="downgrade",
            step=self.name,
            targets=[self.target],
        )
        operation = Operation(self.options, asked, run, run.hold, total=len(undone))
        with told(operation, run, self.options, state.rows):
            operation.run()
        _, left = self._look(run)
        if left:
            where = run.project.target.where
            raise MigrationError(f"env.py ended without an error, but {where} still has revision {left[0].id}")

    def _require_confirmed(self, undone: Collection[Revision]) -> None:
        more = [revision.id for revision in undone if self.confirmed is not None and revision.id not in self.confirmed]
        if more:
            raise GuardError(f"the database moved: {', '.join(more)} would be taken back, and was not shown")

    def _look(self, context: RunContext) -> tuple[State, tuple[Revision, ...]]:
        declared = read_declared(
            self.options, context.project, deadline=context.deadline, report=context.report, source=self.source
        )
        state = find_known(context, declared, self.options)
        try:
            target = None if self.target == BASE else declared.history.targets(self.target)[0]
            return state, declared.history.undone(state.rows, target)
        except NoSuchRevision as error:
            raise InvalidFileError([Problem(str(error), self.source, error.hint)]) from error
        except BrokenHistory as error:
            raise MigrationError(str(error), hint="`bootstrapper history` shows where it stands.") from error
