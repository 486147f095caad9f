"""Compares the schema of a database with what the project's revisions build, in a scratch database of its server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import Connection

from bootstrapper.api.built_schema import AppliedHistory, applied_histories, ask_built, require_scratch_possible
from bootstrapper.api.interruption import stoppable
from bootstrapper.api.planning import identity_of
from bootstrapper.dataclass import dataclass
from bootstrapper.engine.open import Opened, opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import GuardError, UsageError
from bootstrapper.migrations.schema.comparison import Difference, compare, describe
from bootstrapper.plans import DatabaseIdentity

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


def drift(request: Request) -> Drift:
    """Builds the revisions that the database is at in a scratch database, and compares object by object.

    Writes nothing to the database itself.

    Raises:
        UsageError: The file has no step with revisions.
        AheadError: The database is at a revision that the project does not have.
        GuardError: The database is at no revision, or is reached through a pooler.
        UnreachableError: The server does not answer, or is a standby.
        MigrationError: The role may not create databases, or a revision failed there.
    """
    with stoppable(request.stop), opened(request, "drift", writes=False) as run:
        run.executor.open_gates()
        require_scratch_possible(run, "drift")
        with run.session.read_only() as connection:
            histories = applied_histories(run)
            _require_rows(run, histories)
            table = histories[0].version_table
            actual = describe(connection, run.project.ledger, table)

        def expected(built: Connection[Any], _: bool) -> tuple[Mapping[str, str], Sequence[str]]:
            return describe(built, run.project.ledger, table), [row[0] for row in built.execute(_SCHEMAS)]

        wanted, schemas = ask_built(request, run, histories, expected)
        found = tuple(each for each in compare(wanted, actual) if each.is_within(schemas))
        revisions = tuple(row for history in histories for row in history.versions.rows)
        return Drift(identity_of(run, run.session.server), revisions, found)


def _require_rows(run: Opened, histories: Sequence[AppliedHistory]) -> None:
    if not histories:
        raise UsageError("the file has no step that uses 'migrate'", hint="Add `- uses: migrate` to steps:.")
    if not any(history.versions.rows for history in histories):
        raise GuardError(
            f"{run.project.target.where} is at no revision, so there is nothing to compare its schema with",
            hint="Apply the migrations, or adopt a revision if it has their tables (`adopt` under `migrate`).",
        )
