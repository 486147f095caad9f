"""Shows which environment a database is marked as, and marks it."""

from __future__ import annotations

import socket

from bootstrapper.api.marking import transaction, writing
from bootstrapper.dataclass import dataclass
from bootstrapper.engine.open import opened
from bootstrapper.engine.request import Request
from bootstrapper.postgres.ledger import environment_mark, frozen, ledger, records, rights
from bootstrapper.postgres.ledger.environment_mark import Mark


@dataclass(frozen=True)
class Marked:
    """Which environment a database belongs to.

    Attributes:
        mark: None if it is not marked.
        last: The environment of the last run that named one; None without such a run.
    """

    database: str
    mark: Mark | None
    last: str | None


@dataclass(frozen=True)
class Assigned:
    """A database that is marked as that of the environment. `is_new` tells whether it was not before."""

    database: str
    mark: Mark
    is_new: bool


def environment_of(request: Request) -> Marked:
    """Reads the mark. Raises RefusedError where the role may not read the ledger."""
    with opened(request, "environment show", writes=False) as run:
        run.executor.open_gates()
        with run.session.read_only() as connection:
            rights.require(connection, run.project.ledger, run.session.target.where)
            found = environment_mark.read(connection, run.project.ledger)
            exists = ledger.exists(connection, run.project.ledger)
            last = records.last_environment(connection, run.project.ledger) if exists else None
        return Marked(run.session.server.database, found, last)


def set_environment(request: Request) -> Assigned:
    """Marks the database as that of the request's environment. Creates the ledger if it is missing.

    Raises ForeignDatabaseError if it belongs to another environment, unless the name of the database confirms it.
    """
    with writing(request, "environment set") as run:
        connection, names, name = run.session.connection, run.project.ledger, run.project.environment
        assert name is not None  # the command names it
        with transaction(run):
            frozen.prepare(connection, names, run.session.target.where)
            is_new = environment_mark.mark(connection, names, name, socket.gethostname(), replaces=True)
            found = environment_mark.read(connection, names)
        assert found is not None
        return Assigned(run.session.server.database, found, is_new)
