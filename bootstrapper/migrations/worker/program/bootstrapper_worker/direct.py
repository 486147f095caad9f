"""Statements sent as they are over psycopg's own connection, so that several are one message and one round trip.

The driver sends BEGIN and COMMIT by themselves, and SQLAlchemy takes longer to send a statement than the server to
answer it. Other drivers have no such connection: there each statement is a round trip.
"""

from __future__ import annotations

from typing import Any

from bootstrapper_worker.database import driver_connection

IDLE, IN_TRANSACTION, FAILED = 0, 2, 3  # of libpq's PGTransactionStatusType
SUCCEEDED = (1, 2)  # of ExecStatusType: without rows, with rows
SQLSTATE, MESSAGE, DETAIL = ord("C"), ord("M"), ord("D")


class Refused(Exception):  # noqa: N818 - an error of the server, like those that drivers raise
    """The server did not do what a message asked for; `sqlstate` is None where the connection was lost."""

    def __init__(self, reason: str, sqlstate: str | None = None, detail: str | None = None) -> None:
        super().__init__(reason)
        self.sqlstate = sqlstate
        self.detail = detail


def direct(connection: Any) -> Any:
    """Returns psycopg's connection; None where there is another driver, or each statement commits by itself."""
    driver = driver_connection(connection)
    pgconn = getattr(driver, "pgconn", None)
    return driver if pgconn is not None and not driver.autocommit and not pgconn.pipeline_status else None


def is_in_transaction(driver: Any) -> bool:
    return bool(driver.pgconn.transaction_status == IN_TRANSACTION)


def has_failed(driver: Any) -> bool:
    """Whether a transaction is open that does nothing more but go back to a savepoint, or end."""
    return bool(driver.pgconn.transaction_status == FAILED)


def begins_plainly(driver: Any) -> bool:
    """Whether the driver would begin a transaction with the next statement, and would say no more than BEGIN."""
    kinds = (driver.isolation_level, driver.read_only, driver.deferrable)
    return bool(driver.pgconn.transaction_status == IDLE) and kinds == (None, None, None)


def send(driver: Any, *statements: str) -> Any:
    """Returns libpq's result of the last statement; the first one that fails is the last one that is run."""
    encoding = driver.info.encoding
    try:
        result = driver.pgconn.exec_("; ".join(statements).encode(encoding))
    except Exception as error:
        raise Refused(str(error)) from error
    if result.status not in SUCCEEDED:
        fields = [result.error_field(field) for field in (MESSAGE, SQLSTATE, DETAIL)]
        reason, sqlstate, detail = (None if text is None else text.decode(encoding, "replace") for text in fields)
        raise Refused(reason or driver.pgconn.error_message.decode(encoding, "replace").strip(), sqlstate, detail)
    return result


def first_row(result: Any) -> list[Any]:
    values = [result.get_value(0, column) for column in range(result.nfields)] if result.ntuples else []
    return [None if value is None else value.decode() for value in values]
