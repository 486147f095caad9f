"""Retries the first look of a run while another run holds the lock and has locked tables."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from bootstrapper.deadline import Deadline
from bootstrapper.errors import BlockedError
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock.acquire import read_holder

LONGEST_SECONDS = 300.0
_PAUSE_SECONDS = (0.5, 5.0)

T = TypeVar("T")


def while_held(session: Session, names: LedgerNames, deadline: Deadline, look: Callable[[], T]) -> T:
    """Returns the result of the look once the run that holds the lock permits it; no connection between looks.

    Raises BlockedError if sessions other than those of such a run block it.
    """
    until = deadline.sooner(LONGEST_SECONDS)
    while True:
        try:
            return look()
        except BlockedError:
            if until.has_passed or not _is_held(session, names):
                raise
        session.close()
        until.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311 - no secret


def _is_held(session: Session, names: LedgerNames) -> bool:
    with session.read_only() as connection:
        return read_holder(connection, names).run_id is not None
