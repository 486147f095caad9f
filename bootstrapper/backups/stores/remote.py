"""Backups behind a URL of fsspec: object stores, SFTP, and whatever else it knows."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import urlsplit

from bootstrapper.backups.stores import atomic_files as local_draft
from bootstrapper.backups.stores.catalogue import Backup
from bootstrapper.backups.stores.manifest import MOST_BYTES, SUFFIX, Manifest, manifest_path
from bootstrapper.backups.stores.store import Draft, Store
from bootstrapper.errors import BackupError

_PIECE = 1024 * 1024
_OWNER_LENGTH = 12
# Where a folder is nothing but a part of names, and making the topmost one would make a bucket out of a typing error.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "r2", "b2", "oci", "obs"})


class FileSystem(Protocol):
    """What is used of fsspec's AbstractFileSystem."""

    def ls(self, path: str, detail: bool = True) -> list[dict[str, object]]: ...
    def cat_file(self, path: str) -> bytes: ...
    def pipe_file(self, path: str, value: bytes) -> None: ...
    def open(self, path: str, mode: str = "rb") -> BinaryIO: ...
    def mv(self, path1: str, path2: str) -> None: ...
    def rm_file(self, path: str) -> None: ...
    def exists(self, path: str) -> bool: ...
    def makedirs(self, path: str, exist_ok: bool = False) -> None: ...
    def invalidate_cache(self) -> None: ...


def owner_of(*parts: str | None) -> str:
    """Short text that stands for one database and lock: whoever has the lock owns the drafts that carry it.

    Remote places know no flock that would end with its holder.
    """
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_OWNER_LENGTH]


_USER = re.compile(r"://([^@]*)@")


class Remote(Store):
    """A prefix of an object store, or a folder of another machine."""

    def __init__(self, url: str, options: Mapping[str, object], owner: str) -> None:
        """Raises BackupError where fsspec or what it needs for this kind of URL is missing."""
        self.where = without_secrets(url).rstrip("/")
        self._has_folders = urlsplit(url).scheme not in _OBJECT_STORES
        self._suffix = f".{owner}{local_draft.SUFFIX}"
        with self.told():
            self._files, self._path = _file_system(url, options)

    def prepare(self) -> None:
        with self.told():
            if self._has_folders and not self._files.exists(self._path):
                self._files.makedirs(self._path, exist_ok=True)
                _close_to_others(self._files, self._path, 0o700)
            for name in self._sizes():
                if name.startswith(".") and name.endswith(self._suffix):
                    self._files.rm_file(self._at(name))
            self._try_out()

    def _try_out(self) -> None:
        """Writes and removes a file: to many an object store a bucket that does not exist is as empty as any other."""
        path = self._at(self._hidden("tried"))
        self._files.pipe_file(path, b"bootstrapper: a trial whether this place can be written to\n")
        self._files.rm_file(path)

    def backups(self) -> list[Backup]:
        with self.told():
            sizes = self._sizes()
            short = [name for name, size in sizes.items() if size <= MOST_BYTES]
            names = [name.removesuffix(SUFFIX) for name in short if name.endswith(SUFFIX)]
            found = [(name, self._manifest(name)) for name in names]
        made = [
            Backup(Path(name), manifest, sizes.get(name) == manifest.size, f"{self.where}/{name}")
            for name, manifest in found
            if manifest is not None and manifest.file == name
        ]
        return sorted(made, key=lambda backup: (backup.manifest.created_at, backup.path.name), reverse=True)

    def is_taken(self, name: str) -> bool:
        with self.told():
            return self._files.exists(self._at(name))

    @contextmanager
    def draft(self, name: str) -> Iterator[Draft]:
        draft = _RemoteDraft(self, name)
        try:
            yield draft
        finally:
            draft.discard()

    def has_draft(self, name: str) -> bool:
        with self.told():
            return any(found.startswith(f".{name}.") for found in self._sizes())

    def read(self, backup: Backup) -> Iterator[bytes]:
        return self.pieces(backup.path.name)

    def remove(self, backup: Backup) -> None:
        with self.told():
            for name in (backup.path.name, manifest_path(backup.path).name):
                with suppress(FileNotFoundError):
                    self._files.rm_file(self._at(name))

    def pieces(self, name: str) -> Iterator[bytes]:
        with self.told(), self._files.open(self._at(name), "rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    def begin(self, name: str) -> BinaryIO:
        """A new file, for its owner only where the place knows modes."""
        with self.told():
            path = self._at(self._hidden(name))
            file = self._files.open(path, "wb")
            _close_to_others(self._files, path)
            return file

    def publish(self, name: str, manifest: Manifest) -> Backup:
        with self.told():
            beside = name + SUFFIX
            hidden = self._at(self._hidden(beside))
            self._files.pipe_file(hidden, manifest.to_json().encode())
            _close_to_others(self._files, hidden)
            self._files.mv(hidden, self._at(beside))
            self._files.mv(self._at(self._hidden(name)), self._at(name))
            is_whole = self._sizes().get(name) == manifest.size
        if not is_whole:  # where a rename is a copy, it may have gone wrong
            raise BackupError(f"{self.where}/{name} has another size than what was written")
        return Backup(Path(name), manifest, verified=True, url=f"{self.where}/{name}")

    def discard(self, name: str) -> None:
        with suppress(Exception):  # what can not be removed now is removed by the next run
            self._files.invalidate_cache()
            for hidden in (self._hidden(name), self._hidden(name + SUFFIX)):
                if self._files.exists(self._at(hidden)):
                    self._files.rm_file(self._at(hidden))

    def draft_pieces(self, name: str) -> Iterator[bytes]:
        return self.pieces(self._hidden(name))

    def _hidden(self, name: str) -> str:
        return f".{name}{self._suffix}"

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _sizes(self) -> dict[str, int]:
        """Names and sizes of the files as they are now."""
        self._files.invalidate_cache()
        try:
            found = self._files.ls(self._path, detail=True)
        except FileNotFoundError:
            return {}
        files = [entry for entry in found if entry["type"] == "file"]
        return {posixpath.basename(str(entry["name"])): cast(int, entry["size"]) for entry in files}

    def _manifest(self, name: str) -> Manifest | None:
        try:
            return Manifest.from_json(self._files.cat_file(self._at(name + SUFFIX)).decode())
        except (FileNotFoundError, PermissionError, ValueError):
            return None

    @contextmanager
    def told(self) -> Iterator[None]:
        """Any error of the file system as ours."""
        try:
            yield
        except BackupError:
            raise
        except Exception as error:  # every file system has errors of its own, of no common kind
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise BackupError(f"{self.where}: {reason}") from error


class _RemoteDraft(Draft):
    """A file in a remote place; sent while it is written."""

    def __init__(self, store: Remote, name: str) -> None:
        self._store = store
        self._name = name
        self._size = 0
        self._is_finished = False
        self._file = store.begin(name)

    def write(self, data: bytes) -> None:
        with self._store.told():
            self._file.write(data)
        self._size += len(data)

    @property
    def size(self) -> int:
        return self._size

    def finish(self) -> None:
        with self._store.told():
            self._file.close()
        self._is_finished = True

    def read(self) -> Iterator[bytes]:
        return self._store.draft_pieces(self._name)

    def publish(self, manifest: Manifest) -> Backup:
        return self._store.publish(self._name, manifest)

    def discard(self) -> None:
        """Closing would complete an upload, and discarding one ends it; not every file system knows the latter."""
        if not self._is_finished:
            with suppress(Exception):
                _end(self._file)
        self._store.discard(self._name)


def _end(file: Any) -> None:
    if not hasattr(file, "discard"):
        file.close()
        return
    file.discard()
    with suppress(AttributeError):
        file.closed = True  # its finalizer would send the rest all the same


def without_secrets(url: str) -> str:
    """The URL without password and query; fsspec chains several by `::`, and a password may hold a slash."""
    return _USER.sub(lambda found: f"://{found[1].partition(':')[0]}@", url).partition("?")[0].partition("#")[0]


def password_of(url: str) -> str | None:
    found = _USER.search(url)
    return found[1].partition(":")[2] or None if found is not None else None


def _file_system(url: str, options: Mapping[str, object]) -> tuple[FileSystem, str]:
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra that few need
    except ImportError as error:
        raise BackupError(
            "fsspec is not installed", hint="Install the extra for it: pip install 'pg-bootstrapper[remote]'."
        ) from error
    try:
        files, path = url_to_fs(url, skip_instance_cache=True, **options)
    except ImportError as error:
        raise BackupError(f"{without_secrets(url)}: {error}", hint="Install what fsspec needs for it.") from error
    return cast(FileSystem, files), str(path).rstrip("/")


def _close_to_others(files: FileSystem, path: str, mode: int = 0o600) -> None:
    """Object stores have no modes; SFTP follows the umask of the other side."""
    client = getattr(files, "ftp", None)
    if client is not None and hasattr(client, "chmod"):
        client.chmod(path, mode)
