"""The command `downgrade`: reverts revisions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from bootstrapper.errors import GuardError, InvalidFileError, MigrationError, Problem, Source
from bootstrapper.migrations.history.history import BrokenHistory, NoSuchRevision
from bootstrapper.migrations.history.revisions import Revision
from bootstrapper.migrations.history.versions import BASE
from bootstrapper.migrations.interrupted.failure_hint import explained
from bootstrapper.migrations.linting import review, revision_sql
from bootstrapper.migrations.linting.revision_sql import Rendering
from bootstrapper.migrations.payloads import Move, moves, payloads
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import State, find_known, read_declared
from bootstrapper.migrations.worker.request import fenced_request
from bootstrapper.migrations.worker.runner import WorkerRun
from bootstrapper.plans import Action, Change, Deferred, Finding, Hazard, HazardName, TableLock
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Hazardous, ShowsSql


class Downgrade(Step[MigrationSettings], Hazardous, ShowsSql):
    """Brings the schema down to a revision, one transaction per revision, through the worker.

    Args:
        target: A revision, or base; not a relative one, which would mean another state at each look.
        confirmed: The revisions whose reversal was confirmed; None if it was not asked for.
    """

    uses = "downgrade"
    transactional = False

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
        """Returns the revisions to revert, newest first.

        Raises InvalidFileError if the target does not exist, and MigrationError if it is not below.
        """
        run = run_of(context)
        state, undone = self._look(run)
        return moves(undone, state, run.project, Action.DELETE)

    def with_sql(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Change | Deferred]:
        return self._rendering(context, changes).with_sql(changes)

    def findings(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Finding]:
        """Returns what Squawk says of the statements, if they are shown."""
        return revision_sql.findings(changes, run_of(context))

    def hazards(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Hazard | TableLock]:
        """Returns the reversal of each revision, and what the statements would drop and lock."""
        if not changes or not review.has_much_to_lose(run_of(context)):
            return []
        said, safer = "is reverted: what it created is dropped", HazardName.DOWNGRADE.safer
        reverted = [
            Hazard(HazardName.DOWNGRADE, item.target, said, safer, item.after.get("file") or "")
            for item in changes
            if isinstance(item, Change)
        ]
        return [*reverted, *self._rendering(context, changes).hazards(changes)]

    def _rendering(self, context: Context, changes: Sequence[Change | Deferred]) -> Rendering:
        state = payloads(changes, Move)[0].state
        return Rendering(self.options, state, run_of(context), ((state.rows, self.target),), "downgrade")

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        run = run_of(context)
        hold, moved = run.require_hold(), payloads(changes, Move)
        state, undone = moved[0].state, [each.revision.id for each in moved]
        self._require_confirmed(undone)
        ask = partial(
            fenced_request,
            self.options,
            state.declared.layout,
            fence=hold.fence,
            command="downgrade",
            step=self.name,
            targets=[self.target],
            revisions=undone,
            rows=state.rows,
        )
        work = WorkerRun(self.options, ask, run, hold, total=len(undone))
        with explained(work, run, self.options, state):
            work.run()
        _, left = self._look(run)
        if left:
            where = run.project.target.where
            raise MigrationError(f"env.py ended without an error, but {where} still has revision {left[0].id}")

    def _require_confirmed(self, undone: Collection[str]) -> None:
        more = [revision for revision in undone if self.confirmed is not None and revision not in self.confirmed]
        if more:
            raise GuardError(f"the database changed: reverting {', '.join(more)} was not confirmed")

    def _look(self, run: RunContext) -> tuple[State, tuple[Revision, ...]]:
        declared = read_declared(
            self.options, run.project, deadline=run.deadline, report=run.report, source=self.source
        )
        state = find_known(run, declared, self.options)
        try:
            target = None if self.target == BASE else declared.history.targets(self.target)[0]
            return state, declared.history.undone(state.rows, target)
        except NoSuchRevision as error:
            raise InvalidFileError([Problem(str(error), self.source, error.hint)]) from error
        except BrokenHistory as error:
            raise MigrationError(str(error), hint="Compare with `bootstrapper history`.") from error
