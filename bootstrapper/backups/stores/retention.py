"""Names dated backups, and removes expired ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from bootstrapper.backups.stores.signature import is_trusted
from bootstrapper.backups.stores.store import Backup, Store
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import BackupError

_UNSAFE = re.compile(r"[^\w.-]|^\.")
_DATED = re.compile(r".+-\d{8}T\d{6}Z-[0-9a-f]{8}(-\d+)?\.(dump|sql|dir)(\.age)?")


def dated_name(store: Store, database: str, run_id: UUID | None, suffix: str, now: datetime | None = None) -> str:
    """Returns an unused name that sorts by time: DATABASE-20260102T030405Z-RUN.dump.

    RUN is the end of the run's id: a UUIDv7 begins with the time, which does not distinguish runs.
    """
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    run = (run_id.hex if run_id else "0" * 8)[-8:]
    stem = f"{_UNSAFE.sub('_', database)}-{stamp}-{run}"
    name, number = f"{stem}{suffix}", 1
    while store.is_taken(name):
        number += 1
        name = f"{stem}-{number}{suffix}"
    return name


@dataclass(frozen=True)
class Keeping:
    """How many backups, or those of how many seconds, are kept; all if neither is set.

    A backup stays if either of them keeps it. The newest always stays.
    """

    count: int | None = None
    seconds: float | None = None

    def expired(self, good: Sequence[Backup], now: datetime) -> list[Backup]:
        """Returns the expired ones of verified backups; both newest first."""
        if self.count is None and self.seconds is None:
            return []
        later = good[max(self.count or 0, 1) :]
        if self.seconds is None:
            return list(later)
        oldest = now - timedelta(seconds=self.seconds)
        return [backup for backup in later if backup.manifest.created_at < oldest]


def retire(
    store: Store,
    keeping: Keeping,
    *,
    database: str,
    system_identifier: str | None,
    unfinished: Collection[UUID] | None,
    variables: Mapping[str, str],
    left_out: Sequence[str] = (),
    now: datetime | None = None,
) -> list[Backup]:
    """Removes expired dated backups of one database, and returns them.

    Only backups with the same `left_out` are counted together: a partial one does not replace a complete one. A backup
    dated in the future is not counted, as the clock was wrong. One without a valid signature is neither counted nor
    removed: it must not displace those that can be restored.

    Args:
        unfinished: The unfinished runs since the last one that succeeded. The backups of the first and the latest of
            them stay: a crash loop must neither evict the good one nor fill the disk. None (unknown) keeps all.
        variables: Contain the key of manifests, if they are signed.
    """
    ours = [
        backup
        for backup in store.backups()
        if backup.manifest.is_of(database, system_identifier) and is_trusted(backup.manifest, variables)
    ]
    dated = [backup for backup in ours if _DATED.fullmatch(backup.path.name)]
    _remove_orphans(store, dated)
    if unfinished is None:
        return []
    now = now or datetime.now(UTC)
    alike = [backup for backup in dated if backup.verified and backup.manifest.left_out == tuple(left_out)]
    expired = keeping.expired([backup for backup in alike if not backup.manifest.is_of_the_future(now)], now)
    by_unfinished = [backup.manifest.run_id for backup in alike if backup.manifest.run_id in unfinished]
    spared = {*by_unfinished[:1], *by_unfinished[-1:]}
    old = [backup for backup in expired if backup.manifest.run_id not in spared]
    for backup in old:
        _remove(store, backup)
    return old


def _remove_orphans(store: Store, dated: Sequence[Backup]) -> None:
    """Removes manifests without a dump: the run was killed between the two renames, or the dump was removed."""
    for backup in dated:
        name = backup.path.name
        if not backup.verified and not store.has_draft(name) and not store.is_taken(name):
            _remove(store, backup)


def _remove(store: Store, backup: Backup) -> None:
    try:
        store.remove(backup)
    except OSError as error:
        raise BackupError(f"cannot remove {backup.where}: {error.strerror or error}") from error
