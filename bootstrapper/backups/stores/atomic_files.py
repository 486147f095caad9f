"""Files and folders that get their final names only when they are complete."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".bootstrapper-partial"

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@contextmanager
def draft(final: Path) -> Iterator[tuple[Path, int]]:
    """A new file beside the final one, readable by its owner only, removed at the end unless it was renamed.

    It stays locked (flock) while this process, or a child that inherited the descriptor, writes to it: an unlocked
    draft was left behind by a killed run.

    Yields:
        The temporary path and a descriptor open for reading and writing.
    """
    with _draft(final, _create_file) as made:
        yield made


@contextmanager
def draft_folder(final: Path) -> Iterator[tuple[Path, int]]:
    """As `draft`, for a folder that only its owner can enter; the descriptor only serves as lock."""
    with _draft(final, _create_folder) as made:
        yield made


def draft_path(final: Path) -> Path:
    return final.with_name(f".{final.name}{SUFFIX}")


@contextmanager
def _draft(final: Path, create: Callable[[Path], int]) -> Iterator[tuple[Path, int]]:
    path = draft_path(final)
    descriptor = _create(path, create)
    try:
        yield path, descriptor
    finally:
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                _remove(path)
        os.close(descriptor)


def _create_file(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)  # regardless of the umask
    return descriptor


def _create_folder(path: Path) -> int:
    path.mkdir(mode=0o700)
    path.chmod(0o700)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _create(path: Path, create: Callable[[Path], int]) -> int:
    while True:
        descriptor = create(path)
        _lock(descriptor)
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)  # it was swept before it was locked


def _lock(descriptor: int) -> bool:
    """Returns whether the lock was free; false on file systems without locks, where abandoned drafts stay."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            return False
        raise
    return True


def sweep(folder: Path, prefix: str = "") -> list[Path]:
    """Removes and returns the drafts of killed runs of this user; those still being written stay.

    Others may write to the folder, as to /tmp: their files stay and raise no errors.

    Args:
        prefix: The beginning of the final names.
    """
    return [path for path in folder.glob(f".{prefix}*{SUFFIX}") if _is_own(path) and _remove_if_abandoned(path)]


def _is_own(path: Path) -> bool:
    """Returns whether no other user can have created it: by its owner, or by who may write to the folder."""
    try:
        entry, folder = path.lstat(), path.parent.stat()
    except OSError:
        return False
    user = os.geteuid()
    return entry.st_uid == user or (folder.st_uid == user and not folder.st_mode & _WRITABLE_BY_OTHERS)


def _remove_if_abandoned(path: Path) -> bool:
    flags = os.O_RDONLY | os.O_DIRECTORY if path.is_dir() else os.O_RDWR  # NFS locks only files open for writing
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not _lock(descriptor):
            return False
        _remove(path)
    except (OSError, RecursionError):  # rmtree descends by recursion
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of the data: on a full disk one write takes what fits, and only the next one fails."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
