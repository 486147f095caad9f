"""Reads who holds the lock, and takes it from a holder that does not come back."""

from __future__ import annotations

from dataclasses import replace

from psycopg import errors

from bootstrapper.engine.open import opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import RefusedError
from bootstrapper.postgres.connection.server_messages import said
from bootstrapper.postgres.ledger import rights
from bootstrapper.postgres.lock import lockstate
from bootstrapper.postgres.lock.lockstate import LockState, read_state

_LONGEST_QUERY = 120


_MAY_SIGNAL = "Break the lock as a member of the holder's role, or of pg_signal_backend."


def lock_state(request: Request) -> LockState | None:
    """Who holds the lock and who waits for it; None where it is free.

    Raises RefusedError where the role may not read the ledger.
    """
    with opened(request, "lock show", writes=False) as run, run.session.read_only() as connection:
        rights.require(connection, run.project.ledger, run.session.target.where)
        state = read_state(connection, run.project.ledger)
    if state is None:
        return None
    quote = request.masker.quote
    blocked = tuple(replace(each, query=quote(each.query)[:_LONGEST_QUERY]) for each in state.blocked)
    return replace(state, blocked=blocked)


def break_lock(request: Request, run: str) -> LockState:
    """Takes the lock away from just that run, named by its id or the end of it; gives the state that was ended.

    Raises GuardError where another run holds it, or none does, and RefusedError where the role may not do that.
    """
    with opened(request, "lock break", writes=True, queues=False) as at, at.session.limited(at.session.connection):
        where = at.session.target.where
        rights.require_breaking(at.session.connection, at.project.ledger, where)
        try:
            return lockstate.break_lock(at.session.connection, at.project.ledger, run)
        except errors.InsufficientPrivilege as error:
            raise RefusedError(where, f"the holder cannot be ended: {said(error)}", hint=_MAY_SIGNAL) from error
