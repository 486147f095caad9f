"""Compares the schema of a database with what the project's revisions build, in a scratch database of its server."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from bootstrapper.api.interruption import stoppable
from bootstrapper.api.planning import identity_of
from bootstrapper.api.run import apply
from bootstrapper.engine.entry import Entry
from bootstrapper.engine.open import Opened, opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import GuardError, MigrationError, UsageError
from bootstrapper.migrations.commands import operations
from bootstrapper.migrations.schema.comparison import Difference, compare, describe
from bootstrapper.migrations.schema.scratch import ALREADY_THERE, scratch_database
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import find_known, read_declared
from bootstrapper.plans import DatabaseIdentity
from bootstrapper.plugin.traits import HasHeads
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.cutoff import cut_off
from bootstrapper.postgres.connection.settings import greet
from bootstrapper.postgres.connection.target import Target

_SCHEMAS = "SELECT pg_catalog.quote_ident(nspname) FROM pg_catalog.pg_namespace"


@dataclass(frozen=True)
class Drift:
    """How the schema of a database differs from that of its revisions.

    Attributes:
        revisions: Those that the database is at, and was compared with.
    """

    database: DatabaseIdentity
    revisions: tuple[str, ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class _History:
    """One step with revisions, and those that the database is at."""

    entry: Entry
    settings: MigrationSettings
    rows: tuple[str, ...]

    @property
    def version_table(self) -> tuple[str | None, str]:
        return self.settings.version_table_schema, self.settings.version_table


def drift(request: Request) -> Drift:
    """Builds the revisions that the database is at in a scratch database, and compares object by object.

    Writes nothing to the database itself.

    Raises:
        UsageError: The file has no step with revisions.
        AheadError: The database is at a revision that the project does not have.
        GuardError: The database is at no revision, or is reached through a pooler.
        MigrationError: The role may not create databases, or a revision failed there.
    """
    with stoppable(request.stop), opened(request, "drift", writes=False) as run:
        run.executor.open_gates()
        run.session.require_direct("drift")
        with run.session.read_only() as connection:
            histories = [_history(run, entry) for entry in run.entries if isinstance(entry.unit, HasHeads)]
            _require_rows(run, histories)
            actual = describe(connection, run.project.ledger, histories[0].version_table)
        expected, schemas = _expected(request, run, histories)
        found = tuple(each for each in compare(expected, actual) if each.is_within(schemas))
        revisions = tuple(row for history in histories for row in history.rows)
        return Drift(identity_of(run, run.session.server), revisions, found)


def _history(run: Opened, entry: Entry) -> _History:
    settings = entry.unit.options
    assert isinstance(settings, MigrationSettings)
    context = run.looker.context(entry)
    declared = read_declared(
        settings, run.project, deadline=run.deadline, report=context.report, source=entry.unit.source
    )
    return _History(entry, settings, find_known(context, declared, settings).rows)


def _require_rows(run: Opened, histories: Sequence[_History]) -> None:
    if not histories:
        raise UsageError("the file has no step that uses 'migrate'", hint="Add `- uses: migrate` to steps:.")
    if not any(history.rows for history in histories):
        raise GuardError(
            f"{run.project.target.where} is at no revision, so there is nothing to compare its schema with",
            hint="Apply the migrations, or adopt a revision if it has their tables (`adopt` under `migrate`).",
        )


def _expected(request: Request, run: Opened, histories: Sequence[_History]) -> tuple[Mapping[str, str], Sequence[str]]:
    """Returns what the revisions build, and the schemas that exist then.

    Extensions and schemas that the revisions create themselves must not exist before.
    """
    try:
        return _built(request, run, histories, with_extensions=True)
    except MigrationError as error:
        if error.sqlstate not in ALREADY_THERE:
            raise
        return _built(request, run, histories, with_extensions=False)


def _built(
    request: Request, run: Opened, histories: Sequence[_History], *, with_extensions: bool
) -> tuple[Mapping[str, str], Sequence[str]]:
    own, target = run.session.connection, run.project.target
    with scratch_database(own, target, with_extensions=with_extensions) as scratch:
        for history in histories:
            for revision in history.rows:
                apply(_upgrade(request, run, history, scratch, revision), "upgrade")
        with closing(_connect(run, scratch)) as other, cut_off(other, run.deadline):
            schemas = [row[0] for row in other.execute(_SCHEMAS)]
            return describe(other, run.project.ledger, histories[0].version_table), schemas


def _upgrade(request: Request, run: Opened, history: _History, scratch: Target, revision: str) -> Request:
    """Returns the request for a run of its own in the scratch database, with a lock and a ledger there."""
    left = run.deadline.seconds_left
    return Request(
        file=request.file,
        environment=request.environment,
        variables=request.variables,
        url=request.url,
        database=scratch.database,
        types=(history.entry.unit.uses,),
        steps=(history.entry.name,),
        operation=operations.upgrade(revision),
        timeout_seconds=None if math.isinf(left) else left,
        masker=request.masker,
        stop=request.stop,
    )


def _connect(run: Opened, scratch: Target) -> Connection[Any]:
    connection = connect(scratch, deadline=run.deadline, application_name="bootstrapper")
    with cut_off(connection, run.deadline):
        greet(connection)
    return connection
