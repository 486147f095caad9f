"""The fence as prepared statements: the server takes longer to plan it, again for each revision, than to run it."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from bootstrapper_worker.database import filled_in
from bootstrapper_worker.direct import Refused, send

UNKNOWN_STATEMENT = "26000"
FENCE, LAST_FENCE = "bootstrapper_fence", "bootstrapper_last_fence"
FACTS = {"revision": "$1", "action": "$2", "seconds": "$3"}
TYPES = "pg_catalog.text, pg_catalog.text, pg_catalog.float8"


class Prepared:
    """Which of psycopg's connections have the statements.

    Attributes:
        begun: The connection whose transaction began with the prepared fence, so that it has the last one as well; not
            after an autocommit block, in which the project may have dropped both.
    """

    def __init__(self) -> None:
        self._has_them: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
        self.begun: Any = None

    def prepare(self, driver: Any, statements: dict[str, Any]) -> None:
        """Prepares the statements on a direct connection: behind a pooler, the next server would not know them.

        Once for each connection: an env.py may configure Alembic for several schemas on one.
        """
        if driver in self._has_them:
            return
        last = filled_in(statements["noting_last_fence"], FACTS)
        send(driver, f"PREPARE {FENCE} AS {statements['fence']}", f"PREPARE {LAST_FENCE} ({TYPES}) AS {last}")
        self._has_them[driver] = True

    def begin(self, driver: Any, fence: str) -> Any:
        """Begins a transaction with the fence; returns libpq's result."""
        self.begun = None
        if self._has_them.get(driver):
            try:
                result = send(driver, "BEGIN", f"EXECUTE {FENCE}")
            except Refused as error:
                if not self.are_dropped(driver, error):
                    raise
                send(driver, "ROLLBACK")
            else:
                self.begun = driver
                return result
        return send(driver, "BEGIN", fence)

    def last_fence(self, driver: Any, facts: dict[str, str]) -> str | None:
        """Returns the last fence of a transaction, which notes the facts; None if the connection does not have it."""
        values = ", ".join(facts[name] for name in FACTS)
        return f"EXECUTE {LAST_FENCE} ({values})" if self.begun is driver else None

    def are_dropped(self, driver: Any, error: Refused) -> bool:
        """Returns whether the project dropped the statements, as DEALLOCATE ALL does; they are not used again then."""
        if error.sqlstate != UNKNOWN_STATEMENT or not self._has_them.get(driver):
            return False
        self._has_them[driver] = False
        return True
