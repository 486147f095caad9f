"""Removes backups that have had their time, and what killed runs left behind."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from bootstrapper.backups.stores.catalogue import Backup
from bootstrapper.backups.stores.signature import is_trusted
from bootstrapper.backups.stores.store import Store
from bootstrapper.errors import BackupError

_UNSAFE = re.compile(r"[^\w.-]|^\.")
_DATED = re.compile(r".+-\d{8}T\d{6}Z-[0-9a-f]{8}(-\d+)?\.(dump|sql|dir)(\.age)?")


def dated_name(store: Store, database: str, run_id: UUID | None, suffix: str, now: datetime | None = None) -> str:
    """A new name that sorts by time: DATABASE-20260102T030405Z-RUN.dump.

    RUN is the end of the run's id: a UUIDv7 begins with the time, so that its beginning tells no two runs apart.
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
    """What is kept: so many backups, or those of so many seconds; all where neither is said.

    A backup stays that either of them keeps, and the newest always does.
    """

    count: int | None = None
    seconds: float | None = None

    def past(self, good: Sequence[Backup], now: datetime) -> list[Backup]:
        """Those that have had their time, of verified ones, newest first."""
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
    """Removes the dated backups of one database that have had their time, and gives them.

    Only those that leave out the same count for each other: a part replaces no whole. One from the future counts for
    none, since the clock that dated it was wrong. One that the key did not sign is neither counted nor removed: it must
    not push out those that can be restored.

    Args:
        unfinished: Runs that did not finish since the last one that did. What the first and the latest of them took
            stays: a crash loop must not evict the good one, and not fill the disk. All stay where None: unknown.
        variables: Among them the key of manifests, where they are signed.
    """
    ours = [
        backup
        for backup in store.backups()
        if backup.manifest.is_of(database, system_identifier) and is_trusted(backup.manifest, variables)
    ]
    dated = [backup for backup in ours if _DATED.fullmatch(backup.path.name)]
    _remove_lost(store, dated)
    if unfinished is None:
        return []
    now = now or datetime.now(UTC)
    alike = [backup for backup in dated if backup.verified and backup.manifest.left_out == tuple(left_out)]
    past = keeping.past([backup for backup in alike if not backup.manifest.is_of_the_future(now)], now)
    by_unfinished = [backup.manifest.run_id for backup in alike if backup.manifest.run_id in unfinished]
    spared = {*by_unfinished[:1], *by_unfinished[-1:]}
    old = [backup for backup in past if backup.manifest.run_id not in spared]
    for backup in old:
        _remove(store, backup)
    return old


def _remove_lost(store: Store, dated: Sequence[Backup]) -> None:
    """Manifests without a dump: of a run killed between the two names, or the dump was removed by hand."""
    for backup in dated:
        name = backup.path.name
        if not backup.verified and not store.has_draft(name) and not store.is_taken(name):
            _remove(store, backup)


def _remove(store: Store, backup: Backup) -> None:
    try:
        store.remove(backup)
    except OSError as error:
        raise BackupError(f"{backup.where} can not be removed: {error.strerror or error}") from error
