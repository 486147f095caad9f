"""Tells which refusals hold although other runs are at work: every other one is decided again under the lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from bootstrapper.errors import (
    BootstrapperError,
    ForeignDatabaseError,
    FrozenError,
    InvalidFileError,
    RunInterrupted,
    UnreachableError,
)
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.ledger import declarations, ledger
from bootstrapper.postgres.ledger.ledger import LedgerNames

IMPATIENT_SECONDS = 2.0
_WHATEVER_OTHERS_DO = (ForeignDatabaseError, FrozenError, InvalidFileError, RunInterrupted, UnreachableError)
_NO_RUN = UUID(int=0)


def may_change(error: BootstrapperError, session: Session, names: LedgerNames) -> bool:
    """Returns whether another run may be why a run without the lock was refused, or may have ended it since."""
    return not isinstance(error, _WHATEVER_OTHERS_DO) and is_other_at_work(session, names)


def is_other_at_work(session: Session, names: LedgerNames) -> bool:
    """Returns whether another run has the lock, did not end, or ended since this one began; false if unknown.

    Never logs in again for that: a password that was refused would be given twice.
    """
    if not session.is_open:
        return False
    with suppress(UnreachableError), session.read_only() as connection, suppress(*ledger.UNREADABLE):
        return declarations.has_other_run(connection, names, _NO_RUN, session.began_at)
    return False


@contextmanager
def impatient(session: Session) -> Iterator[None]:
    """Looks wait for the lock of another session for IMPATIENT_SECONDS only, as other runs may be at work."""
    before, session.patience_seconds = session.patience_seconds, IMPATIENT_SECONDS
    try:
        yield
    finally:
        session.patience_seconds = before
