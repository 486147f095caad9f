"""The runs that took the lock after a plan was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from bootstrapper.dataclass import dataclass
from bootstrapper.postgres.ledger.ledger import LedgerNames


@dataclass(frozen=True)
class LaterRun:
    """A run that took the lock after a plan was made.

    Attributes:
        plan: The digest of the saved plan that it applied.
        has_begun: Whether it did anything that may last.
    """

    run_id: UUID
    command: str
    plan: str | None
    outcome: str | None
    has_begun: bool


@dataclass(frozen=True)
class LaterRuns:
    """The runs since a plan was made, oldest first.

    Attributes:
        is_put_back: Whether the ledger does not know the run that was the last one then.
    """

    runs: Sequence[LaterRun]
    is_put_back: bool


def runs_since(
    connection: Connection[Any],
    names: LedgerNames,
    serial: int | None,
    last: UUID | None,
    besides: UUID | None = None,
) -> LaterRuns:
    """Returns the runs that took the lock after the last one then; those that only took a backup are left out.

    Args:
        connection: In a transaction.
        names: Of the ledger's tables.
        serial: The serial of the last run then; None where there was none.
        last: Its id.
        besides: A run that is left out.
    """
    query = names.fill(
        "SELECT r.run_id, r.command, r.plan, r.outcome, EXISTS (SELECT FROM {steps} AS s WHERE s.run_id = r.run_id)"
        " FROM {runs} AS r WHERE r.serial > %s AND r.command <> 'backup' AND r.run_id IS DISTINCT FROM %s"
        " ORDER BY r.serial"
    )
    rows = connection.execute(query, (serial or 0, besides)).fetchall()
    found = connection.execute(names.fill("SELECT 1 FROM {runs} WHERE serial = %s AND run_id = %s"), (serial, last))
    return LaterRuns([LaterRun(*each) for each in rows], serial is not None and found.fetchone() is None)
