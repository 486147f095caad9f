"""Removes backups that have had their time, and what killed runs left behind."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from bootstrapper.backups.catalogue import Backup, backups
from bootstrapper.backups.manifest import manifest_path

_UNSAFE = re.compile(r"[^\w.-]|^\.")
_DATED = re.compile(r".+-\d{8}T\d{6}Z-[0-9a-f]{8}(-\d+)?\.dump")


def dated_path(folder: Path, database: str, run_id: UUID | None, now: datetime | None = None) -> Path:
    """A new name that sorts by time: DATABASE-20260102T030405Z-RUN.dump.

    RUN is the end of the run's id: a UUIDv7 begins with the time, so that its beginning tells no two runs apart.
    """
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    run = (run_id.hex if run_id else "0" * 8)[-8:]
    stem = f"{_UNSAFE.sub('_', database)}-{stamp}-{run}"
    path, number = folder / f"{stem}.dump", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.dump"
    return path


def retire(
    folder: Path,
    keep: int,
    *,
    database: str,
    system_identifier: str | None,
    unfinished: Collection[UUID] | None,
) -> list[Path]:
    """Removes all but the newest `keep` dated backups of one database, and gives their paths.

    Args:
        unfinished: Runs whose backups stay: a crash loop must not evict the good one. None where nobody knows, and
            then all stay.
    """
    ours = [
        backup
        for backup in backups(folder)
        if backup.manifest.is_of(database, system_identifier) and _DATED.fullmatch(backup.path.name)
    ]
    lost = [backup for backup in ours if not backup.path.exists()]
    for backup in lost:  # killed between the two names, or removed by hand
        _remove(backup)
    if unfinished is None:
        return []
    good = [backup for backup in ours if backup.verified]
    old = [backup for backup in good[keep:] if backup.manifest.run_id not in unfinished]
    for backup in old:
        _remove(backup)
    return [backup.path for backup in old]


def _remove(backup: Backup) -> None:
    """The dump first: what is left after a kill in between is a manifest without dump, which the next run removes."""
    backup.path.unlink(missing_ok=True)
    manifest_path(backup.path).unlink(missing_ok=True)
