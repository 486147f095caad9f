"""What a killed or failed migration leaves behind outside its transactions, and the statements that mend it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import Connection, errors, sql

from bootstrapper.errors import MigrationError
from bootstrapper.masking import Masker
from bootstrapper.plans import Finding
from bootstrapper.postgres.connection.server_messages import key_detail
from bootstrapper.postgres.ledger.ledger import DEFAULT_SCHEMA, LedgerNames

_REASONS = {
    "build": "is invalid: a concurrent build was cut off; no query uses it",
    "reindex": "is invalid: REINDEX CONCURRENTLY was cut off and left it; no query uses it",
    "drop": "is invalid: a concurrent drop was cut off; no query uses it",
    "partitions": "is invalid: not every partition has an index attached to it",
    "rows": "is not validated: rows from before it was added may break it",
    "domain": "is not validated: values from before it was added may break it",
}

_HINTS: Mapping[type[psycopg.Error], str] = {
    errors.UniqueViolation: "Remove the duplicate rows, and run again.",
    errors.ForeignKeyViolation: "Correct the rows that break the constraint, and run again.",
    errors.CheckViolation: "Correct the rows that break the constraint, and run again.",
    errors.NotNullViolation: "Fill in the rows that have no value, and run again.",
    errors.LockNotAvailable: "Run again when no other transaction is open on the table.",
    errors.InsufficientPrivilege: "Run as the owner of the table.",
}


@dataclass(frozen=True)
class Leftover:
    """One index or constraint that is there and does not do its work.

    Attributes:
        kind: "index" or "constraint".
        name: Quoted as SQL: schema and index, or schema, table (or domain) and constraint.
        table: Schema and table, quoted as SQL; empty where a domain has the constraint.
        repair: The statement that mends it, to run outside a transaction; empty where none does.
        drop: The statement that removes it, for a revision that starts again; empty where that needs more than one.
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


def find_leftovers(connection: Connection[Any], ledger: LedgerNames) -> list[Leftover]:
    """Invalid indexes that nobody works on, and constraints that are not validated, of the current database.

    One round trip that reads the catalogues only. Indexes come before constraints, and what only has to be dropped
    before what is built again. A constraint declared NOT ENFORCED is no leftover.
    """
    rows = connection.execute(leftovers_query(), leftovers_parameters(ledger)).fetchall()
    return [
        Leftover(kind, name, table, _REASONS[cause], repair, drop) for kind, name, table, cause, repair, drop in rows
    ]


def leftovers_query() -> sql.SQL:
    """Rows of kind, name, table, cause, repair and drop."""
    text = files("bootstrapper.migrations.interrupted").joinpath("leftovers.sql").read_text(encoding="utf-8")
    return sql.SQL(text)


def leftovers_parameters(ledger: LedgerNames) -> dict[str, object]:
    """What the query is to leave out."""
    return {"ledger": ledger.schema, "prefix": "" if ledger.schema == DEFAULT_SCHEMA else "bootstrapper_"}


def repair(
    connection: Connection[Any], leftovers: Iterable[Leftover], masker: Masker, *, lock_timeout_seconds: float | None
) -> None:
    """Runs the repairing statements one by one; those before a failing one stay done.

    A REINDEX that fails leaves an index named *_ccnew, which the next search finds and the next repair drops.

    Args:
        connection: In autocommit mode and outside a transaction.
        lock_timeout_seconds: How long a statement may wait for each lock; 0 waits for ever. None leaves the settings
            alone, as behind a pooler, where they would be left to others.

    Raises:
        MigrationError: The server refused a statement.
    """
    with _lock_timeout(connection, lock_timeout_seconds):
        for statement in (leftover.repair for leftover in leftovers if leftover.repair):
            _run(connection, statement, masker)


def _run(connection: Connection[Any], statement: str, masker: Masker) -> None:
    try:
        connection.execute(statement.encode())
    except psycopg.OperationalError as error:
        if error.sqlstate is None:  # the connection is gone: the caller's to judge
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
