"""Builds the revisions that a database is at in a scratch database, for commands that compare with what they build."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from psycopg import Connection

from bootstrapper.api.run import apply
from bootstrapper.dataclass import dataclass
from bootstrapper.engine.entry import Entry
from bootstrapper.engine.open import Opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import MigrationError
from bootstrapper.migrations.commands import operations
from bootstrapper.migrations.history.versions import Versions
from bootstrapper.migrations.schema.scratch import ALREADY_THERE, scratch_database
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import find_known, read_declared
from bootstrapper.plans import HazardName
from bootstrapper.plugin.traits import HasHeads
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.cutoff import cut_off
from bootstrapper.postgres.connection.settings import greet
from bootstrapper.postgres.connection.target import Target

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class AppliedHistory:
    """One step with revisions, and those that the database is at."""

    entry: Entry
    settings: MigrationSettings
    versions: Versions

    @property
    def version_table(self) -> tuple[str | None, str]:
        return self.settings.version_table_schema, self.settings.version_table


def require_scratch_possible(run: Opened, what: str) -> None:
    """Raises GuardError behind a pooler, and UnreachableError where the server accepts no writes, as a standby."""
    run.session.require_direct(what)
    if run.session.server.read_only:
        raise run.session.server.refusal_of_writes(run.session.target.where)


def applied_histories(run: Opened) -> tuple[AppliedHistory, ...]:
    """Reads the version rows of every step with revisions, inside a look.

    Raises AheadError if the database is at a revision that the project does not have.
    """
    return tuple(_history(run, entry) for entry in run.entries if isinstance(entry.unit, HasHeads))


def _history(run: Opened, entry: Entry) -> AppliedHistory:
    settings = entry.unit.options
    assert isinstance(settings, MigrationSettings)
    context = run.looker.context(entry)
    declared = read_declared(
        settings, run.project, deadline=run.deadline, report=context.report, source=entry.unit.source
    )
    return AppliedHistory(entry, settings, find_known(context, declared, settings).versions)


def ask_built(
    request: Request,
    run: Opened,
    histories: Sequence[AppliedHistory],
    ask: Callable[[Connection[Any], bool], Answer],
) -> Answer:
    """Returns the answer of a scratch database in which the applied revisions were built.

    Args:
        ask: Takes a connection to it, and whether the revisions create their extensions or schemas themselves: then
            none of the database's extensions was there before.

    Raises MigrationError if the role may not create databases, or a revision fails there.
    """
    try:
        with _built(request, run, histories, with_extensions=True) as connection:
            return ask(connection, False)
    except MigrationError as error:
        if error.sqlstate not in ALREADY_THERE:
            raise
    with _built(request, run, histories, with_extensions=False) as connection:
        return ask(connection, True)


@contextmanager
def _built(
    request: Request, run: Opened, histories: Sequence[AppliedHistory], *, with_extensions: bool
) -> Iterator[Connection[Any]]:
    own, target = run.session.connection, run.project.target
    with scratch_database(own, target, with_extensions=with_extensions) as scratch:
        for history in histories:
            for revision in history.versions.rows:
                try:
                    apply(_upgrade(request, run, history, scratch, revision), "upgrade")
                except MigrationError as error:  # its own hint says where the scratch database stands
                    failed = f"it failed in a scratch database, not in {target.where}"
                    error.hint = f"Make the revisions run in an empty database: {failed}."
                    raise
        with closing(_connect(run, scratch)) as connection, cut_off(connection, run.deadline):
            yield connection


def _upgrade(request: Request, run: Opened, history: AppliedHistory, scratch: Target, revision: str) -> Request:
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
        allow=tuple(HazardName),  # nothing can be lost there, whatever rows an earlier revision wrote
        masker=request.masker,
        stop=request.stop,
    )


def _connect(run: Opened, scratch: Target) -> Connection[Any]:
    connection = connect(scratch, deadline=run.deadline, application_name="bootstrapper")
    with cut_off(connection, run.deadline):
        greet(connection)
    return connection
