"""Backups in a local folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootstrapper.backups.stores.atomic_files import draft, draft_folder, draft_path, sweep, sync_folder, write_all
from bootstrapper.backups.stores.manifest import MOST_BYTES, SUFFIX, Manifest, manifest_path
from bootstrapper.backups.stores.store import Backup, Draft, Store
from bootstrapper.config.outputs import shown
from bootstrapper.errors import BackupError

_PIECE = 1024 * 1024


def find(path: Path) -> Backup | None:
    """Returns the backup in this file or folder; None without a readable manifest beside it."""
    beside = manifest_path(path)
    try:
        if not beside.is_file() or beside.stat().st_size > MOST_BYTES:  # reading a FIFO would block
            return None
        manifest = Manifest.from_json(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Backup(path, manifest, size_of(path) == manifest.size)


def backups(folder: Path) -> list[Backup]:
    """Returns all backups in a folder, newest first; empty if the folder does not exist."""
    dumps = (path.with_name(path.name.removesuffix(SUFFIX)) for path in folder.glob(f"*{SUFFIX}"))
    found = [backup for dump in dumps if (backup := find(dump)) is not None and backup.manifest.file == dump.name]
    return sorted(found, key=lambda backup: (backup.manifest.created_at, backup.path.name), reverse=True)


def size_of(path: Path) -> int | None:
    """Returns the size of a file, or of all files in a folder, in bytes; None if it does not exist."""
    try:
        if path.is_dir():
            return sum(file.stat().st_size for file in path.iterdir())
        return path.stat().st_size
    except OSError:
        return None


class FileDraft(Draft):
    """A dump in one file; a program may also write to the descriptor."""

    def __init__(self, final: Path, path: Path, descriptor: int) -> None:
        self._final = final
        self.path = path
        self.descriptor = descriptor

    def write(self, data: bytes) -> None:
        write_all(self.descriptor, data)

    @property
    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def finish(self) -> None:
        os.fsync(self.descriptor)

    def read(self) -> Iterator[bytes]:
        return _pieces(self.path)

    def publish(self, manifest: Manifest) -> Backup:
        return _publish(self.path, self._final, manifest)


class FolderDraft(Draft):
    """A dump in a folder that pg_dump fills with files; the descriptor keeps it locked."""

    def __init__(self, final: Path, path: Path, descriptor: int) -> None:
        self._final = final
        self.path = path
        self.descriptor = descriptor

    def write(self, data: bytes) -> None:
        raise NotImplementedError("a folder is not a stream")

    @property
    def size(self) -> int:
        return size_of(self.path) or 0

    def finish(self) -> None:
        """Syncs the files, which pg_dump wrote with --no-sync and a mode that depends on the umask."""
        for file in self.path.iterdir():
            descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW)
            try:
                os.fchmod(descriptor, 0o600)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(self.path)

    def read(self) -> Iterator[bytes]:
        raise NotImplementedError("a folder is not a stream")

    def publish(self, manifest: Manifest) -> Backup:
        return _publish(self.path, self._final, manifest)


class Folder(Store):
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)

    def prepare(self) -> None:
        try:
            if not self.path.is_dir():
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_folder(self.path.parent)
            sweep(self.path)
        except OSError as error:
            raise BackupError(f"cannot use {self.path}: {error.strerror or error}") from error

    def backups(self) -> list[Backup]:
        try:
            return backups(self.path)
        except OSError as error:
            raise BackupError(f"cannot read {shown(self.path)}: {error.strerror or error}") from error

    def is_taken(self, name: str) -> bool:
        return (self.path / name).exists()

    @contextmanager
    def draft(self, name: str) -> Iterator[FileDraft]:
        final = self.path / name
        with draft(final) as (path, descriptor):
            yield FileDraft(final, path, descriptor)

    @contextmanager
    def draft_folder(self, name: str) -> Iterator[FolderDraft]:
        """Yields a draft for a dump of several files."""
        final = self.path / name
        with draft_folder(final) as (path, descriptor):
            yield FolderDraft(final, path, descriptor)

    def has_draft(self, name: str) -> bool:
        return draft_path(self.path / name).exists()

    def read(self, backup: Backup) -> Iterator[bytes]:
        return _pieces(backup.path)

    def remove(self, backup: Backup) -> None:
        if backup.path.is_dir():
            shutil.rmtree(backup.path)
        else:
            backup.path.unlink(missing_ok=True)
        manifest_path(backup.path).unlink(missing_ok=True)


def _publish(path: Path, final: Path, manifest: Manifest) -> Backup:
    beside = manifest_path(final)
    with draft(beside) as (manifest_draft, descriptor):
        write_all(descriptor, manifest.to_json().encode())
        os.fsync(descriptor)
        manifest_draft.replace(beside)
    path.replace(final)
    sync_folder(final.parent)
    return Backup(final, manifest, verified=True)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
