"""The fences of a revision as prepared statements: the server takes longer to plan them, each time, than to run them.

A revision may drop prepared statements. Before the first fence that costs nothing; the last one stands behind a
savepoint, so that the transaction can go on from there with the plain one.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from bootstrapper_worker.database import filled_in
from bootstrapper_worker.direct import Refused, has_failed, send

UNKNOWN_STATEMENT = "26000"
FENCE, LAST_FENCE = "bootstrapper_fence", "bootstrapper_last_fence"
FACTS = {"revision": "$1", "action": "$2", "seconds": "$3"}
TYPES = "pg_catalog.text, pg_catalog.text, pg_catalog.float8"


class Prepared:
    """Which of psycopg's connections have the statements."""

    def __init__(self) -> None:
        self._has_them: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()

    def prepare(self, driver: Any, fence: str, last_fence: list[Any] | None) -> None:
        """Prepares the statements on a direct connection: behind a pooler, the next server would not know them.

        Once for each connection: an env.py may configure Alembic for several schemas on one.

        Args:
            last_fence: With places for what it notes; None if nothing may be noted.
        """
        if driver in self._has_them:
            return
        statements = [f"PREPARE {FENCE} AS {fence}"]
        if last_fence is not None:
            statements.append(f"PREPARE {LAST_FENCE} ({TYPES}) AS {filled_in(last_fence, FACTS)}")
        send(driver, *statements)
        self._has_them[driver] = True

    def begin(self, driver: Any, fence: str) -> Any:
        """Begins a transaction with the fence; returns libpq's result."""
        if self._has_them.get(driver):
            try:
                return send(driver, "BEGIN", f"EXECUTE {FENCE}")
            except Refused as error:
                if error.sqlstate != UNKNOWN_STATEMENT:
                    raise
            self._has_them[driver] = False  # an earlier revision dropped it, as DEALLOCATE ALL does
            send(driver, "ROLLBACK")
        return send(driver, "BEGIN", fence)

    def commit(self, driver: Any, last_fence: str, noted: dict[str, str] | None) -> Any:
        """Commits behind the last fence, in one message; returns libpq's result.

        Args:
            last_fence: As it is sent where it is not prepared.
            noted: What it notes of a revision; None if it notes nothing.
        """
        if noted is None or not self._has_them.get(driver):
            return send(driver, last_fence, "COMMIT")
        facts = ", ".join(noted[name] for name in FACTS)
        try:
            return send(driver, f"SAVEPOINT {LAST_FENCE}", f"EXECUTE {LAST_FENCE} ({facts})", "COMMIT")
        except Refused as error:
            if error.sqlstate != UNKNOWN_STATEMENT or not has_failed(driver):
                raise
        self._has_them[driver] = False  # this revision dropped it; what it did is kept, and not done again
        return send(driver, f"ROLLBACK TO SAVEPOINT {LAST_FENCE}", last_fence, "COMMIT")
