"""Adopts a database that has tables but no version, if its schema equals the one that the revisions build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from psycopg import Connection

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import GuardError, MigrationError
from bootstrapper.migrations.history.versions import write_versions
from bootstrapper.migrations.payloads import Adopt
from bootstrapper.migrations.schema.comparison import UNEXPECTED, describe, differences
from bootstrapper.migrations.schema.scratch import ALREADY_THERE, scratch_database
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.worker.request import scratch_request
from bootstrapper.migrations.worker.runner import WorkerRun
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.cutoff import cut_off
from bootstrapper.postgres.connection.session import ENDING_SECONDS
from bootstrapper.postgres.connection.settings import greet
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.lock.hold import Hold

_MOST_SHOWN = 20


@dataclass(frozen=True)
class Adoption:
    """One adoption: builds the schema in a scratch database, compares, and records the version."""

    settings: MigrationSettings
    adopt: Adopt
    context: RunContext
    hold: Hold

    def run(self) -> None:
        """Raises GuardError with the differences, if there are any, and writes nothing then."""
        connection, target = self.context.connection, self.context.project.target
        self.context.session.require_direct("adopt")
        table = (self.settings.version_table_schema, self.settings.version_table)
        self.context.report(
            f"building the schema of revision {self.adopt.revision} in a scratch database, for comparison"
        )
        expected, schemas = self._expected(table)
        found = differences(expected, describe(connection, self.hold.fence.ledger, table))
        found = [line for line in found if self._counts(line, schemas)]
        if found:
            more = [f"and {len(found) - _MOST_SHOWN} more"] if len(found) > _MOST_SHOWN else []
            raise GuardError(
                f"{target.where} is not at revision {self.adopt.revision}:",
                details=[*found[:_MOST_SHOWN], *more],
                hint="Adopt the revision that it is at, or remove the differences; nothing was written.",
            )
        versions = self.adopt.state.versions
        with self.hold.transaction() as writing:
            write_versions(writing, self.settings, self.adopt.rows, self.hold.fence, self.context.step, found=versions)

    def _counts(self, line: str, schemas: Sequence[str]) -> bool:
        """Whether a difference counts: additional objects may belong to another history, or to the host."""
        if not line.endswith(UNEXPECTED):
            return True
        histories = [
            unit for unit in self.context.project.steps.values() if isinstance(unit.options, MigrationSettings)
        ]
        return len(histories) < 2 and any(f" {schema}." in line for schema in schemas)

    def _expected(self, table: tuple[str | None, str]) -> tuple[Mapping[str, str], Sequence[str]]:
        """Returns what the revisions build, and the schemas that exist then.

        Extensions and schemas that the revisions create themselves must not exist before.
        """
        try:
            return self._built(table, with_extensions=True)
        except MigrationError as error:
            if error.sqlstate not in ALREADY_THERE:
                raise
            return self._built(table, with_extensions=False)

    def _built(
        self, table: tuple[str | None, str], *, with_extensions: bool
    ) -> tuple[Mapping[str, str], Sequence[str]]:
        own, target = self.context.connection, self.context.project.target
        with (
            scratch_database(own, target, with_extensions=with_extensions) as scratch,
            closing(self._connect(scratch)) as other,
            cut_off(other, self.context.deadline.later(ENDING_SECONDS)),
        ):
            self._migrate(scratch, _oid(other))
            schemas = [row[0] for row in other.execute("SELECT pg_catalog.quote_ident(nspname) FROM pg_namespace")]
            return describe(other, self.hold.fence.ledger, table), schemas

    def _migrate(self, scratch: Target, oid: int) -> None:
        fence = replace(self.hold.fence, database_oid=oid)
        elsewhere = replace(self.context, project=replace(self.context.project, target=scratch))
        layout = self.adopt.state.declared.layout
        ask = partial(scratch_request, self.settings, layout, fence=fence, goal=self.adopt.revision)
        WorkerRun(self.settings, ask, elsewhere, self.hold).run()

    def _connect(self, scratch: Target) -> Connection[Any]:
        connection = connect(scratch, deadline=self.context.deadline, application_name=self.context.application_name)
        with cut_off(connection, self.context.deadline):
            greet(connection)
        return connection


def _oid(connection: Connection[Any]) -> int:
    query = "SELECT oid::int8 FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
