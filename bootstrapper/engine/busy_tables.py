"""The first look of a run that may come in the middle of another one, which has tables for itself for a while."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from bootstrapper.deadline import Deadline
from bootstrapper.errors import BlockedError
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock.lock import read_holder

LONGEST_SECONDS = 300.0
_PAUSE_SECONDS = (0.5, 5.0)

T = TypeVar("T")


def while_held(session: Session, names: LedgerNames, deadline: Deadline, look: Callable[[], T]) -> T:
    """What is seen once the run that holds the lock lets us see it; without a connection between looks.

    Raises BlockedError where sessions that are none of such a run are in the way.
    """
    until = deadline.sooner(LONGEST_SECONDS)
    while True:
        try:
            return look()
        except BlockedError:
            if until.has_passed or not _is_held(session, names):
                raise
        session.close()
        time.sleep(min(random.uniform(*_PAUSE_SECONDS), until.seconds_left))  # noqa: S311 - no secret


def _is_held(session: Session, names: LedgerNames) -> bool:
    with session.read_only() as connection:
        return read_holder(connection, names).run_id is not None
