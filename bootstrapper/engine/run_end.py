"""Records in the ledger how a run ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from bootstrapper.deadline import Deadline
from bootstrapper.errors import BootstrapperError
from bootstrapper.events import Emit, Warned
from bootstrapper.postgres.connection.server_messages import said
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.settings import transaction
from bootstrapper.postgres.ledger import ledger, rights
from bootstrapper.postgres.ledger.retention import remove_expired
from bootstrapper.postgres.lock.hold import Hold

_PATIENCE_SECONDS = 2.0
_CREATE = "Create the role, by a step or by hand; the next run that writes lets it read the ledger."


def note_end(hold: Hold, outcome: str, text: str | None) -> None:
    """Records the end of the run; the error is reduced to characters that the database can store."""
    storable = _storable(text)
    try:
        with hold.transaction() as connection:
            ledger.finish_run(connection, hold.fence.ledger, hold.fence.run_id, outcome, storable)
    except psycopg.errors.UntranslatableCharacter:
        note_end(hold, outcome, ascii(storable))


def note_end_anew(session: Session, hold: Hold, outcome: str, text: str | None) -> None:
    """Records the end on a new connection, if one is to be had in time: nothing of the run is at work any more."""
    session.close()
    with suppress(BootstrapperError, psycopg.Error):
        session.open(Deadline.after(_PATIENCE_SECONDS))
        connection = session.connection
        with transaction(connection):
            ledger.finish_lost_run(connection, hold.fence.ledger, hold.fence.run_id, outcome, _storable(text))


def tend_ledger(hold: Hold, emit: Emit) -> None:
    """Grants reading it to roles that a step created, and removes old runs; only warns where it cannot."""
    names = hold.fence.ledger
    if names.grant_to:
        with _only_warns(emit, "let roles read the ledger"), hold.transaction() as connection:
            for role in rights.grant(connection, names):
                emit(Warned(f"ledger: role {role!r} in grant_to does not exist", _CREATE))
    if names.keep_seconds is not None:
        with _only_warns(emit, "remove old runs from the ledger"), hold.transaction() as connection:
            remove_expired(connection, names, hold.fence.run_id)


@contextmanager
def _only_warns(emit: Emit, attempt: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        emit(Warned(f"could not {attempt}: {said(error)}"))


def _storable(text: str | None) -> str | None:
    return text.replace("\0", "").encode(errors="backslashreplace").decode() if text else None
