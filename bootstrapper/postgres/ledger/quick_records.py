"""The records for quick looks, in `meta` of the ledger: what a run with nothing to do asks, by the file's digest."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from bootstrapper.postgres.ledger.ledger import LedgerNames

_KEPT = 8
_KEEP = "INSERT INTO {meta} (key, value) VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
# Not read as JSON, since one that is none would keep later ones from being recorded.
_REMOVE = """
DELETE FROM {meta} WHERE key IN (
    SELECT key FROM {meta} WHERE key LIKE 'quick:%%'
    ORDER BY substring(value FROM '"recorded_at":([0-9]+)')::numeric DESC NULLS LAST, key OFFSET %s)
"""


def keep(connection: Connection[Any], names: LedgerNames, key: str, record: str) -> None:
    """Records it, and removes the oldest beyond those that are kept, such as those of earlier files."""
    connection.execute(names.fill(_KEEP), (key, record))
    connection.execute(names.fill(_REMOVE), (_KEPT,))
