"""Notes the revision that a database is at, without running anything; a command, and no step of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection, sql

from bootstrapper.errors import FencedOffError, MigrationError, Source
from bootstrapper.migrations.history.versions import Versions, read_versions
from bootstrapper.migrations.schema.unversioned import is_known
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import read_declared
from bootstrapper.plans import Change, Deferred
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.postgres.connection.relations import current_schema
from bootstrapper.postgres.lock.lock import Fence

BASE = "base"

# As Alembic makes it, and wider for identifiers that have no room in it.
_CREATE = """
CREATE TABLE IF NOT EXISTS {table} (version_num varchar({width}) NOT NULL, CONSTRAINT {key} PRIMARY KEY (version_num))
"""
_WIDTH = 32
_NOTE = "INSERT INTO {revisions} (run_id, step, revision, action) VALUES (%s, %s, %s, 'stamp')"


class Stamp(Step):
    """Writes the version rows in one transaction: Alembic's own stamp deletes and inserts in several.

    Args:
        target: base, head, heads, a revision, or label@head.
    """

    uses = "stamp"
    options: MigrationSettings

    class With(MigrationSettings):
        """That of the step whose history it is."""

    def __init__(self, name: str, options: MigrationSettings, source: Source | None, target: str) -> None:
        super().__init__(name, options, source)
        self.target = target

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """The version rows before and after; unknown rows are replaced like any other."""
        run = run_of(context)
        versions = read_versions(run.connection, self.options)
        if not versions.is_readable:
            raise MigrationError(f"the right to read {self.options.version_table_name()} is missing")
        rows = self._rows(run, versions.rows)
        if not versions.rows and not rows:
            return self._note_of_base(run, versions)
        if set(versions.rows) == set(rows):
            return []
        before, after = ({"version_num": ", ".join(found) or None} for found in (versions.rows, rows))
        return [Change.update(self.options.version_table_name(), before=before, after=after)]

    def _note_of_base(self, context: RunContext, versions: Versions) -> list[Change]:
        """Without a row, only the ledger can tell that the tables there are were accounted for."""
        if versions.is_missing:
            return [Change.create(f"table {self.options.version_table_name()}", reason="no revision was run")]
        if is_known(context.connection, context.project.ledger, self.name):
            return []
        return [Change.run("note in the ledger", reason="no revision was run")]

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        run = run_of(context)
        if run.hold is None:
            raise FencedOffError("no lock is held")
        rows = self._rows(run, read_versions(run.connection, self.options).rows)
        write_versions(run.connection, self.options, rows, run.hold.fence, self.name)

    def _rows(self, context: RunContext, before: Sequence[str]) -> tuple[str, ...]:
        """A revision leaves the rows of other branches alone, as Alembic's own stamp does."""
        if self.target == BASE:
            return ()
        declared = read_declared(
            self.options.model_copy(update={"target": self.target}),
            context.project,
            deadline=context.deadline,
            report=context.report,
            source=self.source,
        )
        (_, revisions) = declared.goals[0]
        kept = () if self.target in ("head", "heads") else declared.history.beside(before, revisions)
        return declared.history.rows_after((), (*kept, *revisions))


def write_versions(
    connection: Connection[Any], settings: MigrationSettings, rows: Sequence[str], fence: Fence, step: str
) -> None:
    """Replaces the version rows, inside a transaction that passed the fence; creates the table where there is none."""
    schema, name = settings.version_table_schema, settings.version_table
    found = read_versions(connection, settings).schema or schema
    found = found or current_schema(connection)
    table = sql.Identifier(found, name) if found else sql.Identifier(name)
    key, width = sql.Identifier(f"{name}_pkc"), max([_WIDTH, *(len(row) for row in rows)])
    connection.execute(sql.SQL(_CREATE).format(table=table, key=key, width=sql.Literal(width)))
    connection.execute(sql.SQL("DELETE FROM {}").format(table))
    connection.execute(fence.ledger.fill(_NOTE), (fence.run_id, step, ", ".join(rows) or BASE))
    for row in rows:
        connection.execute(sql.SQL("INSERT INTO {} (version_num) VALUES (%s)").format(table), (row,))
