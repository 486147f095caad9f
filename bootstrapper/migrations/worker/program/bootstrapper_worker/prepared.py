"""The first fence of a revision as a prepared statement: the server takes longer to plan it, each time, than to run it.

Not the last one: where the revision has dropped prepared statements, that would abort its transaction.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from bootstrapper_worker.direct import Refused, send

UNKNOWN_STATEMENT = "26000"
FENCE = "bootstrapper_fence"


class Prepared:
    """Which of psycopg's connections have the statement."""

    def __init__(self) -> None:
        self._has_it: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()

    def prepare(self, driver: Any, fence: str) -> None:
        """Prepares the fence on a direct connection: behind a pooler, the next server would not know it.

        Once for each connection: an env.py may configure Alembic for several schemas on one.
        """
        if driver not in self._has_it:
            send(driver, f"PREPARE {FENCE} AS {fence}")
            self._has_it[driver] = True

    def begin(self, driver: Any, fence: str) -> Any:
        """Begins a transaction with the fence; returns libpq's result."""
        if self._has_it.get(driver):
            try:
                return send(driver, "BEGIN", f"EXECUTE {FENCE}")
            except Refused as error:
                if error.sqlstate != UNKNOWN_STATEMENT:
                    raise
            self._has_it[driver] = False  # an earlier revision dropped it, as DEALLOCATE ALL does
            send(driver, "ROLLBACK")
        return send(driver, "BEGIN", fence)
