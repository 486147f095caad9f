"""The fence, which every writing transaction passes: the lock's row, locked and compared."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import Connection

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import FencedOffError
from bootstrapper.postgres.ledger.ledger import LedgerNames

# The advisory lock is looked up by our own backend: after a reconnect there is none, whatever the row says.
_FENCE = """
SELECT %s OR EXISTS (SELECT 1 FROM pg_catalog.pg_locks
    WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() AND objsubid = 1
      AND (classid::bigint << 32 | objid::bigint) = %s
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
FROM {lock} WHERE run_id = %s AND token = %s FOR UPDATE
"""
RELEASE = "UPDATE {lock} SET {no_holder} WHERE run_id = %s AND token = %s"


@dataclass(frozen=True)
class Fence:
    """What a writing transaction compares, on this connection or in a worker's."""

    run_id: UUID
    token: int
    system_identifier: str | None
    database_oid: int
    ledger: LedgerNames
    watches_client: bool = False
    """Whether the server can be told to end a statement soon after its client is gone."""
    pooled: bool = False
    """Whether the lock is held through a pooler."""
    application_name: str = "bootstrapper"
    """Of every session of the run."""


def pass_fence(connection: Connection[Any], fence: Fence, key: int) -> None:
    """Locks the row until the transaction ends; raises FencedOffError if the lock is another run's.

    Args:
        key: Of the advisory lock, which a direct connection has to hold as well.
    """
    statement = fence.ledger.fill(_FENCE)
    row = connection.execute(statement, (fence.pooled, key, fence.run_id, fence.token)).fetchone()
    if row is None:
        raise FencedOffError("another run has taken the lock")
    if not row[0]:
        raise FencedOffError("this connection does not hold the lock")
