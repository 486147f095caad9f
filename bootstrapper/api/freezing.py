"""Freezes a database, so that nothing is applied to it, and lifts that again."""

from __future__ import annotations

import socket

from psycopg import errors

from bootstrapper.api.marking import transaction, writing
from bootstrapper.dataclass import dataclass
from bootstrapper.engine.request import Request
from bootstrapper.postgres.ledger import frozen
from bootstrapper.postgres.ledger.frozen import Freeze
from bootstrapper.postgres.lock.acquire import Holder
from bootstrapper.postgres.lock.lockstate import LockState, read_state
from bootstrapper.text import one_line


@dataclass(frozen=True)
class Frozen:
    """A database that is frozen now.

    Attributes:
        is_new: Whether it was not frozen before.
        at_work: The run that had taken the lock before, and goes on; None if the lock is free.
    """

    database: str
    freeze: Freeze
    is_new: bool
    at_work: Holder | None


@dataclass(frozen=True)
class Unfrozen:
    """A database that is not frozen any more. `freeze` is None if it was not frozen."""

    database: str
    freeze: Freeze | None


def freeze(request: Request, reason: str) -> Frozen:
    """Marks the database: no run takes the lock from now on to apply anything. Creates the ledger if it is missing.

    A run that has the lock already goes on.
    """
    with writing(request, "freeze") as run:
        connection, names, where = run.session.connection, run.project.ledger, run.session.target.where
        shown = one_line(request.masker.mask(reason))
        with transaction(run):
            found, is_new = frozen.freeze(connection, names, shown, host=socket.gethostname(), where=where)
        return Frozen(run.session.server.database, found, is_new, _at_work(read_state(connection, names)))


def _at_work(state: LockState | None) -> Holder | None:
    """Returns the holder of the lock, unless it was killed: then the next run takes over."""
    if state is None or (state.connection is None and (state.lease_seconds or 0) <= 0):
        return None
    return Holder(state.host, state.pid, state.run_id, state.step, state.since)


def unfreeze(request: Request) -> Unfrozen:
    """Lifts the freeze."""
    with writing(request, "unfreeze") as run:
        connection = run.session.connection
        try:
            with transaction(run):
                lifted = frozen.lift(connection, run.project.ledger)
        except (errors.UndefinedTable, errors.InvalidSchemaName):  # without a ledger nothing is frozen
            lifted = None
        return Unfrozen(run.session.server.database, lifted)
