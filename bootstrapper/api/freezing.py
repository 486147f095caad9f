"""Freezes a database, so that nothing is applied to it, and lifts that again."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import errors

from bootstrapper.engine import identity
from bootstrapper.engine.open import Opened, opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import LockTimeoutError, RefusedError, StepFailedError, UnreachableError
from bootstrapper.postgres.connection import settings
from bootstrapper.postgres.connection.server_messages import said
from bootstrapper.postgres.connection.sqlstates import RETRY_TRANSACTION
from bootstrapper.postgres.ledger import frozen
from bootstrapper.postgres.ledger.frozen import Freeze
from bootstrapper.postgres.lock.acquire import Holder, read_holder
from bootstrapper.postgres.lock.lockstate import LockState, read_state
from bootstrapper.text import one_line

_PATIENCE = "10s"


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
    started = time.monotonic()
    with _writing(request, "freeze") as run:
        connection, names, where = run.session.connection, run.project.ledger, run.session.target.where
        shown = one_line(request.masker.mask(reason))
        try:
            with settings.transaction(connection):
                connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", (_PATIENCE,))
                found, is_new = frozen.freeze(connection, names, shown, host=socket.gethostname(), where=where)
        except psycopg.Error as error:
            if error.sqlstate not in RETRY_TRANSACTION:
                raise
            raise LockTimeoutError(str(read_holder(connection, names)), time.monotonic() - started) from error
        return Frozen(run.session.server.database, found, is_new, _at_work(read_state(connection, names)))


def _at_work(state: LockState | None) -> Holder | None:
    """Returns the holder of the lock, unless it was killed: then the next run takes over."""
    if state is None or (state.connection is None and (state.lease_seconds or 0) <= 0):
        return None
    return Holder(state.host, state.pid, state.run_id, state.step, state.since)


def unfreeze(request: Request) -> Unfrozen:
    """Lifts the freeze."""
    with _writing(request, "unfreeze") as run:
        connection = run.session.connection
        try:
            with settings.transaction(connection):
                lifted = frozen.lift(connection, run.project.ledger)
        except (errors.UndefinedTable, errors.InvalidSchemaName):  # without a ledger nothing is frozen
            lifted = None
        return Unfrozen(run.session.server.database, lifted)


@contextmanager
def _writing(request: Request, command: str) -> Iterator[Opened]:
    """Opens a request that writes a mark without the lock, and translates what the server refuses."""
    with opened(request, command, writes=True, queues=False) as run:
        identity.require_own_environment(run.session, run.project, request.confirmed)
        where = run.session.target.where
        try:
            with run.session.limited(run.session.connection):
                yield run
        except errors.ReadOnlySqlTransaction as error:
            raise UnreachableError(where, "the server is read-only", sqlstate=error.sqlstate) from error
        except errors.InsufficientPrivilege as error:
            told = f"role {run.session.connection.info.user} may not write the ledger: {said(error)}"
            hint = "Run the command as a role that may write the ledger."
            raise RefusedError(where, told, sqlstate=error.sqlstate, hint=hint) from error
        except psycopg.OperationalError as error:
            raise UnreachableError(where, said(error), sqlstate=error.sqlstate) from error
        except psycopg.Error as error:
            raise StepFailedError(f"could not write the ledger: {said(error)}", sqlstate=error.sqlstate) from error
