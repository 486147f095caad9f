"""Which backups there are, by what lies in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bootstrapper.backups.manifest import SUFFIX, Manifest, manifest_path


@dataclass(frozen=True)
class Backup:
    """A dump with its manifest.

    Attributes:
        verified: The dump is there and as long as when it was read back whole. The checksum is not computed again.
    """

    path: Path
    manifest: Manifest
    verified: bool


def find(path: Path) -> Backup | None:
    """The backup in this file; None where there is no manifest beside it that can be read."""
    beside = manifest_path(path)
    if not beside.is_file():  # a FIFO would never answer
        return None
    try:
        manifest = Manifest.from_json(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Backup(path, manifest, _size(path) == manifest.size)


def backups(folder: Path) -> list[Backup]:
    """All backups in a folder, newest first; none where the folder does not exist."""
    dumps = (path.with_name(path.name.removesuffix(SUFFIX)) for path in folder.glob(f"*{SUFFIX}"))
    found = [backup for dump in dumps if (backup := find(dump)) is not None and backup.manifest.file == dump.name]
    return sorted(found, key=lambda backup: (backup.manifest.created_at, backup.path.name), reverse=True)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
