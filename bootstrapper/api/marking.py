"""Opens a database for commands that write a mark into its ledger without the lock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from bootstrapper.engine import identity
from bootstrapper.engine.open import Opened, opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import LockTimeoutError, RefusedError, StepFailedError, UnreachableError
from bootstrapper.postgres.connection import settings
from bootstrapper.postgres.connection.server_messages import said
from bootstrapper.postgres.connection.sqlstates import RETRY_TRANSACTION
from bootstrapper.postgres.lock.acquire import read_holder

_PATIENCE = "10s"


@contextmanager
def transaction(run: Opened) -> Iterator[None]:
    """Opens a transaction of ours; raises LockTimeoutError if another session is in the way for too long."""
    started, connection = time.monotonic(), run.session.connection
    try:
        with settings.transaction(connection):
            connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", (_PATIENCE,))
            yield
    except psycopg.Error as error:
        if error.sqlstate not in RETRY_TRANSACTION:
            raise
        holder = str(read_holder(connection, run.project.ledger))
        raise LockTimeoutError(holder, time.monotonic() - started) from error


@contextmanager
def writing(request: Request, command: str) -> Iterator[Opened]:
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
