"""Removes old runs and their steps, so that the chain of those that stay can still be followed."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID

from psycopg import Connection

from bootstrapper.plans import Action, Change
from bootstrapper.postgres.ledger.chain import REMOVED, record_step
from bootstrapper.postgres.ledger.ledger import LedgerNames

# Of runs that declared the same, the first and the last stay: they tell which release is older. So do runs that later
# ones ask about: for their revisions, the rows of their fixtures, what is done only once, what a restore took back.
_EXPIRED = """
WITH counted AS MATERIALIZED (
    SELECT r.*, (r.outcome = 'done' OR EXISTS (SELECT FROM {steps} AS s WHERE s.run_id = r.run_id)) IS TRUE AS counts
    FROM {runs} AS r
), ranked AS (
    SELECT c.run_id, c.serial, c.started_at, min(c.serial) OVER same AS first, max(c.serial) OVER same AS last
    FROM counted AS c WINDOW same AS (PARTITION BY c.project, c.environment, c.declared, c.counts)
)
SELECT r.run_id FROM ranked AS r
WHERE r.started_at < clock_timestamp() - %(seconds)s::float8 * interval '1 second'
  AND r.serial NOT IN (r.first, r.last) AND r.run_id <> %(run_id)s
  AND NOT EXISTS (SELECT FROM {revisions} AS v WHERE v.run_id = r.run_id)
  AND NOT EXISTS (SELECT FROM {digests} AS d WHERE d.run_id = r.run_id)
  AND NOT EXISTS (SELECT FROM {steps} AS s WHERE s.run_id = r.run_id AND cardinality(s.marks) > 0)
"""
_REMOVE_STEPS = """
DELETE FROM {steps} WHERE run_id = ANY (%s) RETURNING encode(hash, 'hex'), encode(previous, 'hex')
"""
_FOLLOWED = "SELECT encode(previous, 'hex') FROM {steps} WHERE encode(previous, 'hex') = ANY (%s)"
_KEPT = "SELECT value FROM {meta} WHERE key = %s"
_KEEP = "INSERT INTO {meta} (key, value) VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


def remove_expired(connection: Connection[Any], names: LedgerNames, run_id: UUID) -> int:
    """Removes runs that are older than the ledger keeps them; returns how many.

    The caller has a transaction open and holds the lock, as the run with this id.
    """
    if names.keep_seconds is None:
        return 0
    values = {"seconds": names.keep_seconds, "run_id": run_id}
    expired = [row[0] for row in connection.execute(names.fill(_EXPIRED), values, binary=True)]
    if not expired:
        return 0
    removed = dict(connection.execute(names.fill(_REMOVE_STEPS), (expired,)).fetchall())
    connection.execute(names.fill("DELETE FROM {runs} WHERE run_id = ANY (%s)"), (expired,))
    kept = connection.execute(names.fill(_KEPT), (REMOVED,)).fetchone()
    links = json.dumps(_joined(connection, names, {**json.loads(kept[0] if kept else "{}"), **removed}), sort_keys=True)
    connection.execute(names.fill(_KEEP), (REMOVED, links))
    record_step(
        connection,
        names,
        run_id=run_id,
        step="ledger",
        uses="retention",
        kind="result",
        changes=[Change(Action.DELETE, "runs", count=len(expired))],
        removed=hashlib.sha256(links.encode()).hexdigest(),
    )
    return len(expired)


def _joined(connection: Connection[Any], names: LedgerNames, links: dict[str, str | None]) -> dict[str, str | None]:
    """Returns, for each row that follows removed ones, the hash of the last of them, and the hash before the first."""
    followed = connection.execute(names.fill(_FOLLOWED), (list(links),)).fetchall()
    return {last: _before(links, last) for (last,) in followed}


def _before(links: dict[str, str | None], last: str) -> str | None:
    found: str | None = last
    for _ in links:
        if found is None or found not in links:
            break
        found = links[found]
    return found
