"""The fence: compares the lock's row in each transaction, and records revisions in the ledger."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection

from bootstrapper_worker.channel import Events, Stop
from bootstrapper_worker.database import (
    BACKEND,
    client_side_pid,
    dbapi_connection,
    fetch_one,
    filled_in,
    literal,
    where,
)
from bootstrapper_worker.direct import Refused, begins_plainly, direct, first_row, is_in_transaction, send
from bootstrapper_worker.prepared import Prepared

DIVISION_BY_ZERO = "22012"
TRANSACTION = "SELECT pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text"


class Fence:
    """What every transaction of the worker passes.

    Attributes:
        failure: Why the work was stopped, whatever env.py makes of the exception.
        kind: The type of the connection that env.py made.
        is_pooled: Whether the next statement may be sent to another backend.
        ends_with_revision: Whether Alembic commits the transaction right after the version row.
        leaving: The last fence, which is sent in one message with that COMMIT, and what it notes.
        hears_commits: Whether SQLAlchemy has told of a COMMIT of this connection.
    """

    def __init__(self, request: dict[str, Any], events: Events) -> None:
        self.request = request
        self.events = events
        self.failure: dict[str, Any] | None = None
        self.is_connected = False
        self.is_pooled = bool(request["pooled"])
        self.kind: type = type(None)
        self.statements: dict[str, Any] = {}
        self.may_note = False
        self.ends_with_revision = False
        self.leaving: tuple[str, dict[str, str] | None] | None = None
        self.hears_commits = False
        self.prepared = Prepared()

    def stop(self, kind: str, reason: str, **facts: Any) -> Stop:
        stop = Stop(kind, reason, **facts)
        self.failure = stop.report
        return stop

    def connect(self, connection: Any) -> None:
        """Compares the database before Alembic creates its table there; leaves no transaction open."""
        self.hears_commits = False
        if isinstance(connection, Connection):
            event.listen(connection, "commit", self.commit)
        if connection.in_transaction():
            self.require_our_database(connection)
            return
        with connection.begin():
            self.require_our_database(connection)
            number = self.enter(connection)
            self.note_backend(connection)
            if fetch_one(connection, TRANSACTION)[0] != number:  # AUTOCOMMIT: transaction-local settings are lost
                connection.exec_driver_sql(self.statements["limits_of_session"])
                self.events.send("autocommit")

    def require_our_database(self, connection: Any) -> None:
        """Asks before the fence: another database may have no lock to look at."""
        may_identify, self.may_note = fetch_one(connection, self.request["may"])
        self.statements = self.request["asks" if may_identify else "asks_without_identifier"]
        self.is_connected = True
        self.kind = type(dbapi_connection(connection))
        self.events.send("connected", where=where(connection))
        self.compare_database(connection, *fetch_one(connection, self.statements["identity"]))

    def compare_database(self, connection: Any, oid: str, identifier: str | None) -> None:
        expected = self.request["system_identifier"]
        is_same_server = expected is None or identifier is None or identifier == expected
        if oid != self.request["database_oid"] or not is_same_server:
            place = where(connection)
            raise self.stop("elsewhere", f"env.py connected to {place}", where=place)

    def note_backend(self, connection: Any) -> None:
        """Notes this backend in the lock's row, so that the lock is not free while it still works.

        Only on a direct connection: behind a pooler the backend goes on living for others.
        """
        if client_side_pid(connection) == fetch_one(connection, BACKEND)[1]:
            connection.exec_driver_sql(self.statements["note_worker"])
            if (driver := direct(connection)) is not None:
                last = self.statements["noting_last_fence"] if self.may_note else None
                self.prepared.prepare(driver, self.statements["fence"], last)
            # The fence sets the name in its transaction; this is for statements outside one, as in an autocommit block.
            name = literal(self.request["application_name"])
            connection.exec_driver_sql(f"SELECT pg_catalog.set_config('application_name', {name}, false)")
        else:
            self.is_pooled = True  # env.py may have another address than the run
            self.unprepare(dbapi_connection(connection))

    def unprepare(self, connection: Any, _: Any = None) -> None:
        """Keeps psycopg from preparing statements on the server: behind a pooler the next one may be another server."""
        driver = getattr(connection, "driver_connection", connection)
        if self.is_pooled and hasattr(driver, "prepare_threshold"):
            driver.prepare_threshold = None

    def enter(self, connection: Any) -> str:
        """Locks the lock's row for this transaction and compares, in one round trip; returns the transaction's id."""
        self.leaving = None
        driver = direct(connection)
        if driver is None or not (is_in_transaction(driver) or begins_plainly(driver)):
            return self._pass(connection, self.statements["fence"])
        return self._compare(connection, first_row(self._send_fence(driver)))

    def _send_fence(self, driver: Any) -> Any:
        if is_in_transaction(driver):
            return send(driver, self.statements["fence"])
        return self.prepared.begin(driver, self.statements["fence"])

    def leave(self, connection: Any, noted: dict[str, str] | None, *, is_block: bool = False) -> None:
        """Renews the lease before a COMMIT; where that follows at once, in one message with it.

        Args:
            noted: What the ledger notes of the revision at hand, as SQL; None outside revisions, as for a stamp.
            is_block: Whether an autocommit block of the revision begins, rather than its version row being written.
        """
        driver = direct(connection)
        is_noted = noted is not None and self.may_note
        if self.ends_with_revision and self.hears_commits and not is_block and driver and is_in_transaction(driver):
            parts = self.statements["noting_last_fence" if is_noted else "last_fence"]
            self.leaving = filled_in(parts, noted or {}), noted if is_noted else None
        elif is_noted:
            parts = self.statements["noting_block" if is_block else "noting_fence"]
            self._pass(connection, filled_in(parts, noted or {}))
        else:
            self._pass(connection, self.statements["renewing_fence"])

    def commit(self, connection: Any) -> None:
        """SQLAlchemy calls it just before the COMMIT, which then finds that nothing is left to be committed."""
        self.hears_commits = True
        leaving, self.leaving = self.leaving, None
        if leaving is None:
            return
        try:
            result = self.prepared.commit(direct(connection), *leaving)
        except Refused as error:
            if error.sqlstate == DIVISION_BY_ZERO:  # what the last fence raises, so that the COMMIT is not run
                raise self._fenced_off() from error
            raise
        if result.command_status != b"COMMIT":
            raise Refused("the revision ended its transaction itself, after an error")

    def _pass(self, connection: Any, statement: str) -> str:
        return self._compare(connection, fetch_one(connection, statement))

    def _compare(self, connection: Any, row: Any) -> str:
        if not row or [row[0], row[1]] != [self.request["run_id"], self.request["token"]]:
            raise self._fenced_off()
        self.compare_database(connection, row[3], row[4])
        return str(row[2])

    def _fenced_off(self) -> Stop:
        return self.stop("fenced", "another run has taken the lock")
