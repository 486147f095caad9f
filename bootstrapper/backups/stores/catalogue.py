"""Which backups there are, by what lies in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bootstrapper.backups.stores.manifest import MOST_BYTES, SUFFIX, Manifest, manifest_path


@dataclass(frozen=True)
class Backup:
    """A dump with its manifest.

    Attributes:
        path: Where it lies; for one in a remote place only its name.
        verified: The dump is there and as long as when it was read back whole. The checksum is not computed again.
        url: Where it lies if that is no local folder; without secrets.
    """

    path: Path
    manifest: Manifest
    verified: bool
    url: str | None = None

    @property
    def where(self) -> str:
        return self.url or str(self.path)


def find(path: Path) -> Backup | None:
    """The backup in this file or folder; None where there is no manifest beside it that can be read."""
    beside = manifest_path(path)
    try:
        if not beside.is_file() or beside.stat().st_size > MOST_BYTES:  # a FIFO would never answer
            return None
        manifest = Manifest.from_json(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Backup(path, manifest, size_of(path) == manifest.size)


def backups(folder: Path) -> list[Backup]:
    """All backups in a folder, newest first; none where the folder does not exist."""
    dumps = (path.with_name(path.name.removesuffix(SUFFIX)) for path in folder.glob(f"*{SUFFIX}"))
    found = [backup for dump in dumps if (backup := find(dump)) is not None and backup.manifest.file == dump.name]
    return sorted(found, key=lambda backup: (backup.manifest.created_at, backup.path.name), reverse=True)


def size_of(path: Path) -> int | None:
    """Bytes of a file, or of all files in a folder; None where there is neither."""
    try:
        if path.is_dir():
            return sum(file.stat().st_size for file in path.iterdir())
        return path.stat().st_size
    except OSError:
        return None
