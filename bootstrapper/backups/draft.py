"""A file that gets its name only when it is whole."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".bootstrapper-partial"


@contextmanager
def draft(final: Path) -> Iterator[tuple[Path, int]]:
    """A new file beside the final one, readable by its owner only, gone at the end unless it was renamed.

    It stays locked (flock) as long as anybody writes to it, a child that inherited the descriptor too: what is left
    behind by a killed run is what nobody has locked.

    Yields:
        The temporary path and a descriptor open for reading and writing.
    """
    path = final.with_name(f".{final.name}{SUFFIX}")
    descriptor = _create(path)
    try:
        yield path, descriptor
    finally:
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                path.unlink()
        os.close(descriptor)


def _create(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)  # whatever the umask took away
        _lock(descriptor)
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)  # somebody swept it away before the lock was on it


def _lock(descriptor: int) -> bool:
    """Whether nobody else has it; false too on file systems that know no locks, where leftovers stay."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            return False
        raise
    return True


def sweep(folder: Path) -> list[Path]:
    """Removes the drafts of killed runs; those that somebody still writes to stay."""
    return [path for path in folder.glob(f".*{SUFFIX}") if _remove_if_abandoned(path)]


def _remove_if_abandoned(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not _lock(descriptor):
            return False
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
