"""What runs do again after a restore: the revisions that the backup does not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from psycopg import Connection

from bootstrapper.backups.stores.manifest import Manifest
from bootstrapper.plans import Finding
from bootstrapper.postgres.ledger.ledger import UNREADABLE, LedgerNames

TARGET = "later revisions"

_MOST_NAMES = 5
_APPLIED_SINCE = "SELECT revision FROM {revisions} WHERE action = 'upgrade' AND noted_at > %s ORDER BY id"
_REMEDY = "Stop deployments and replicas first, or give them code that ends where the backup does."


def findings(
    connection: Connection[Any], names: LedgerNames, manifest: Manifest | None, now: Sequence[str] | None
) -> Iterator[Finding]:
    """A warning where the backup and the database are at different revisions, or that is not known.

    A run that waits for the lock of the restore is refused afterwards. One that begins later, as of a replica that
    starts, knows nothing of the restore, and brings back what it was to take away.

    Args:
        now: The revisions that the database is at; None where they cannot be read.
    """
    then = manifest.revision if manifest is not None else None
    if then is not None and now is not None and tuple(then) == tuple(now):
        return
    applied = _applied_since(connection, names, manifest)
    more = [f"and {len(applied) - _MOST_NAMES} more"] if len(applied) > _MOST_NAMES else []
    between = f" ({', '.join([*applied[:_MOST_NAMES], *more])})" if applied else ""
    yield Finding(
        TARGET,
        f"the backup ends at revision {shown(then)}, the replaced database at {shown(now)}: each `apply` and each "
        f"replica that starts afterwards runs what lies between{between} again at once",
        _REMEDY,
    )


def _applied_since(connection: Connection[Any], names: LedgerNames, manifest: Manifest | None) -> list[str]:
    """As far as the ledger knows, which an older version may have made, or which may not be for this role."""
    if manifest is None:
        return []
    try:
        with connection.transaction():
            rows = connection.execute(names.fill(_APPLIED_SINCE), (manifest.created_at,)).fetchall()
    except UNREADABLE:
        return []
    return list(dict.fromkeys(revision for (revision,) in rows))


def shown(revision: Sequence[str] | None) -> str:
    if revision is None:
        return "unknown"
    return ", ".join(revision) or "none"
