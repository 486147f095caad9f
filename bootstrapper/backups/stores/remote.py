"""Stores backups at a URL of fsspec: object stores, SFTP and others."""

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

from bootstrapper.backups.stores import atomic_files
from bootstrapper.backups.stores.manifest import MOST_BYTES, SUFFIX, Manifest, manifest_path
from bootstrapper.backups.stores.store import Backup, Draft, Store
from bootstrapper.errors import BackupError

_PIECE = 1024 * 1024
_OWNER_LENGTH = 12
# Stores without folders, where creating the topmost one would turn a typing error into a bucket.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "r2", "b2", "oci", "obs"})


class FileSystem(Protocol):
    """The part of fsspec's AbstractFileSystem that is used."""

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
    """Returns a short id of a database and its lock: the holder of the lock owns the drafts with this id.

    Remote stores have no flock that ends with its holder.
    """
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_OWNER_LENGTH]


_USER = re.compile(r"://([^@]*)@")


class Remote(Store):
    """A prefix of an object store, or a folder of another machine."""

    def __init__(self, url: str, options: Mapping[str, object], owner: str) -> None:
        """Raises BackupError if fsspec, or a package it needs for this kind of URL, is not installed."""
        self.where = without_secrets(url).rstrip("/")
        self._has_folders = urlsplit(url).scheme not in _OBJECT_STORES
        self._suffix = f".{owner}{atomic_files.SUFFIX}"
        with self.translated():
            self._files, self._path = _file_system(url, options)

    def prepare(self) -> None:
        with self.translated():
            if self._has_folders and not self._files.exists(self._path):
                self._files.makedirs(self._path, exist_ok=True)
                _restrict(self._files, self._path, 0o700)
            for name in self._sizes():
                if name.startswith(".") and name.endswith(self._suffix):
                    self._files.rm_file(self._at(name))
            self._try_out()

    def _try_out(self) -> None:
        """Writes and removes a file: many object stores list a bucket that does not exist as empty."""
        path = self._at(self._hidden("tried"))
        self._files.pipe_file(path, b"bootstrapper: tests whether this place is writable\n")
        self._files.rm_file(path)

    def backups(self) -> list[Backup]:
        with self.translated():
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
        with self.translated():
            return self._files.exists(self._at(name))

    @contextmanager
    def draft(self, name: str) -> Iterator[Draft]:
        draft = _RemoteDraft(self, name)
        try:
            yield draft
        finally:
            draft.discard()

    def has_draft(self, name: str) -> bool:
        with self.translated():
            return any(found.startswith(f".{name}.") for found in self._sizes())

    def read(self, backup: Backup) -> Iterator[bytes]:
        return self.pieces(backup.path.name)

    def remove(self, backup: Backup) -> None:
        with self.translated():
            for name in (backup.path.name, manifest_path(backup.path).name):
                with suppress(FileNotFoundError):
                    self._files.rm_file(self._at(name))

    def pieces(self, name: str) -> Iterator[bytes]:
        with self.translated(), self._files.open(self._at(name), "rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    def begin(self, name: str) -> BinaryIO:
        """Opens a new file, readable by its owner only if the store has modes."""
        with self.translated():
            path = self._at(self._hidden(name))
            file = self._files.open(path, "wb")
            _restrict(self._files, path)
            return file

    def publish(self, name: str, manifest: Manifest) -> Backup:
        with self.translated():
            beside = name + SUFFIX
            hidden = self._at(self._hidden(beside))
            self._files.pipe_file(hidden, manifest.to_json().encode())
            _restrict(self._files, hidden)
            self._files.mv(hidden, self._at(beside))
            self._files.mv(self._at(self._hidden(name)), self._at(name))
            is_whole = self._sizes().get(name) == manifest.size
        if not is_whole:  # a rename that is a copy may have failed
            raise BackupError(f"{self.where}/{name} does not have the size that was written")
        return Backup(Path(name), manifest, verified=True, url=f"{self.where}/{name}")

    def discard(self, name: str) -> None:
        with suppress(Exception):  # the next run removes it
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
        """Returns the current files with their sizes."""
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
    def translated(self) -> Iterator[None]:
        """Turns any error of the file system into BackupError."""
        try:
            yield
        except BackupError:
            raise
        except Exception as error:  # file systems have errors of their own without a common base
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise BackupError(f"{self.where}: {reason}") from error


class _RemoteDraft(Draft):
    """A dump that is sent to a remote store while it is written."""

    def __init__(self, store: Remote, name: str) -> None:
        self._store = store
        self._name = name
        self._size = 0
        self._is_finished = False
        self._file = store.begin(name)

    def write(self, data: bytes) -> None:
        with self._store.translated():
            self._file.write(data)
        self._size += len(data)

    @property
    def size(self) -> int:
        return self._size

    def finish(self) -> None:
        with self._store.translated():
            self._file.close()
        self._is_finished = True

    def read(self) -> Iterator[bytes]:
        return self._store.draft_pieces(self._name)

    def publish(self, manifest: Manifest) -> Backup:
        return self._store.publish(self._name, manifest)

    def discard(self) -> None:
        """Aborts the upload, which closing would complete, as far as the file system can."""
        if not self._is_finished:
            with suppress(Exception):
                _abort(self._file)
        self._store.discard(self._name)


def _abort(file: Any) -> None:
    if not hasattr(file, "discard"):
        file.close()
        return
    file.discard()
    with suppress(AttributeError):
        file.closed = True  # else its finalizer would send the rest


def without_secrets(url: str) -> str:
    """Returns the URL without password and query; fsspec chains URLs by `::`, and a password may contain a slash."""
    return _USER.sub(lambda found: f"://{found[1].partition(':')[0]}@", url).partition("?")[0].partition("#")[0]


def password_of(url: str) -> str | None:
    found = _USER.search(url)
    return found[1].partition(":")[2] or None if found is not None else None


def _file_system(url: str, options: Mapping[str, object]) -> tuple[FileSystem, str]:
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra that few need
    except ImportError as error:
        raise BackupError("fsspec is not installed", hint="Run pip install 'pg-bootstrapper[remote]'.") from error
    try:
        files, path = url_to_fs(url, skip_instance_cache=True, **options)
    except ImportError as error:
        hint = "Install the package that fsspec needs for this URL."
        raise BackupError(f"{without_secrets(url)}: {error}", hint=hint) from error
    return cast(FileSystem, files), str(path).rstrip("/")


def _restrict(files: FileSystem, path: str, mode: int = 0o600) -> None:
    """Sets the mode if the store has modes: SFTP follows the umask of the remote side."""
    client = getattr(files, "ftp", None)
    if client is not None and hasattr(client, "chmod"):
        client.chmod(path, mode)
