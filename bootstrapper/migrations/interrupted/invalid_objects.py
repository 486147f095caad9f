"""Invalid indexes and unvalidated constraints that a killed or failed migration leaves, and their repair."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import Connection, errors, sql

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import MigrationError
from bootstrapper.masking import Masker
from bootstrapper.plans import Finding
from bootstrapper.postgres.connection.server_messages import key_detail
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.table_names import DEFAULT_SCHEMA

_REASONS = {
    "build": "is invalid: a concurrent build was interrupted; no query uses it",
    "reindex": "is invalid: left by an interrupted REINDEX CONCURRENTLY; no query uses it",
    "drop": "is invalid: a concurrent drop was interrupted; no query uses it",
    "partitions": "is invalid: not every partition has an attached index",
    "rows": "is not validated: earlier rows may violate it",
    "domain": "is not validated: earlier values may violate it",
}

_HINTS: Mapping[type[psycopg.Error], str] = {
    errors.UniqueViolation: "Remove the duplicate rows, and run again.",
    errors.ForeignKeyViolation: "Correct the rows that violate the constraint, and run again.",
    errors.CheckViolation: "Correct the rows that violate the constraint, and run again.",
    errors.NotNullViolation: "Fill in the missing values, and run again.",
    errors.LockNotAvailable: "Run again when no other transaction is open on the table.",
    errors.InsufficientPrivilege: "Run as the owner of the table.",
}


@dataclass(frozen=True)
class InvalidObject:
    """One index or constraint that exists but is not in effect.

    Attributes:
        kind: "index" or "constraint".
        name: Quoted as SQL: schema and index, or schema, table (or domain) and constraint.
        table: Schema and table, quoted as SQL; empty where a domain has the constraint.
        repair: The statement that repairs it, to run outside a transaction; empty if there is none.
        drop: The statement that drops it, for a revision that starts again; empty if one statement is not enough.
    """

    kind: str
    name: str
    table: str
    reason: str
    repair: str
    drop: str = ""

    @property
    def finding(self) -> Finding:
        return Finding(f"{self.kind} {self.name}", self.reason, self.repair)


def find_invalid_objects(connection: Connection[Any], ledger: LedgerNames) -> list[InvalidObject]:
    """Returns the unvalidated constraints of the current database, and its invalid indexes that are not being built.

    One round trip that reads the catalogues only. Indexes come before constraints, and those to be dropped before those
    to be rebuilt. A constraint declared NOT ENFORCED does not count.
    """
    rows = connection.execute(invalid_objects_query(), invalid_objects_parameters(ledger)).fetchall()
    return [
        InvalidObject(kind, name, table, _REASONS[cause], repair, drop)
        for kind, name, table, cause, repair, drop in rows
    ]


def invalid_objects_query() -> sql.SQL:
    """Selects kind, name, table, cause, repair and drop."""
    text = files("bootstrapper.migrations.interrupted").joinpath("invalid_objects.sql").read_text(encoding="utf-8")
    return sql.SQL(text)


def invalid_objects_parameters(ledger: LedgerNames) -> dict[str, object]:
    """Returns what the query leaves out."""
    return {"ledger": ledger.schema, "prefix": "" if ledger.schema == DEFAULT_SCHEMA else "bootstrapper_"}


def repair(
    connection: Connection[Any], found: Iterable[InvalidObject], masker: Masker, *, lock_timeout_seconds: float | None
) -> None:
    """Runs the statements one by one; those before a failing one stay committed.

    A failed REINDEX leaves an index named *_ccnew, which the next repair drops.

    Args:
        connection: In autocommit mode and outside a transaction.
        lock_timeout_seconds: How long a statement may wait for each lock; 0 waits forever. None keeps the settings,
            as behind a pooler, where other clients would inherit them.

    Raises:
        MigrationError: The server refused a statement.
    """
    with _lock_timeout(connection, lock_timeout_seconds):
        for statement in (each.repair for each in found if each.repair):
            _run(connection, statement, masker)


def _run(connection: Connection[Any], statement: str, masker: Masker) -> None:
    try:
        connection.execute(statement.encode())
    except psycopg.OperationalError as error:
        if error.sqlstate is None:  # the connection is lost, which the caller handles
            raise
        raise _refused(error, statement, masker) from error
    except psycopg.Error as error:
        raise _refused(error, statement, masker) from error


def _refused(error: psycopg.Error, statement: str, masker: Masker) -> MigrationError:
    return MigrationError(
        error.diag.message_primary or type(error).__name__,
        statement=statement,
        sqlstate=error.sqlstate,
        detail=key_detail(error.sqlstate, error.diag.message_detail, masker),
        hint=_HINTS.get(type(error)),
    )


@contextmanager
def _lock_timeout(connection: Connection[Any], seconds: float | None) -> Iterator[None]:
    if seconds is None:
        yield
        return
    milliseconds = max(1, round(seconds * 1000)) if seconds else 0
    connection.execute(sql.SQL("SET lock_timeout = {}").format(milliseconds))
    connection.execute("SET statement_timeout = 0")  # a rebuild takes as long as it takes
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("RESET lock_timeout")
            connection.execute("RESET statement_timeout")
