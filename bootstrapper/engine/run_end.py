"""Records in the ledger how a run ended."""

from __future__ import annotations

from contextlib import suppress

import psycopg

from bootstrapper.deadline import Deadline
from bootstrapper.errors import BootstrapperError
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.settings import transaction
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.lock.hold import Hold

_PATIENCE_SECONDS = 2.0


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


def _storable(text: str | None) -> str | None:
    return text.replace("\0", "").encode(errors="backslashreplace").decode() if text else None
