"""The command `stamp`: records the revision that a database is at, and runs nothing."""

from __future__ import annotations

from collections.abc import Sequence

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import MigrationError, Source
from bootstrapper.migrations.history.versions import BASE, Versions, read_versions, write_versions
from bootstrapper.migrations.payloads import payloads
from bootstrapper.migrations.schema.unversioned import is_known
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import read_declared
from bootstrapper.plans import Change, Deferred
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step


@dataclass(frozen=True)
class NewRows:
    """The version rows to write.

    Attributes:
        found: The version table as it was found.
    """

    found: Versions
    rows: tuple[str, ...]


class Stamp(Step[MigrationSettings]):
    """Writes the version rows in one transaction: Alembic's own stamp deletes and inserts in several.

    Args:
        target: base, head, heads, a revision, or label@head.
    """

    uses = "stamp"

    def __init__(self, name: str, options: MigrationSettings, source: Source | None, target: str) -> None:
        super().__init__(name, options, source)
        self.target = target

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """Returns the version rows before and after; unknown rows are replaced like any other."""
        run = run_of(context)
        versions = read_versions(run.connection, self.options)
        if not versions.is_readable:
            raise MigrationError(f"permission denied for table {self.options.version_table_name()}")
        rows = self._rows(run, versions.rows)
        if not versions.rows and not rows:
            return self._record_base(run, NewRows(versions, rows))
        if set(versions.rows) == set(rows):
            return []
        before, after = ({"version_num": ", ".join(found) or None} for found in (versions.rows, rows))
        name, payload = self.options.version_table_name(), NewRows(versions, rows)
        return [Change.update(name, before=before, after=after, payload=payload)]

    def _record_base(self, run: RunContext, payload: NewRows) -> list[Change]:
        """Without a version row, only the ledger can record that the existing tables are not of this history."""
        if payload.found.is_missing:
            name = f"table {self.options.version_table_name()}"
            return [Change.create(name, reason="no revision was run", payload=payload)]
        if is_known(run.connection, run.project.ledger, self.name):
            return []
        return [Change.run("record in the ledger", reason="no revision was run", payload=payload)]

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        run = run_of(context)
        fence = run.require_hold().fence
        for new in payloads(changes, NewRows):
            write_versions(run.connection, self.options, new.rows, fence, self.name, found=new.found)

    def _rows(self, run: RunContext, before: Sequence[str]) -> tuple[str, ...]:
        """A revision keeps the rows of other branches, as Alembic's own stamp does."""
        if self.target == BASE:
            return ()
        declared = read_declared(
            self.options.model_copy(update={"target": self.target}),
            run.project,
            deadline=run.deadline,
            report=run.report,
            source=self.source,
        )
        (_, revisions) = declared.goals[0]
        kept = () if self.target in ("head", "heads") else declared.history.beside(before, revisions)
        return declared.history.rows_after((), (*kept, *revisions))
