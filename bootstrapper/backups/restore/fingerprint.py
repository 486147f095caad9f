"""Detects changes of a dump between its verification and the end of the restore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootstrapper.backups.client_programs import in_background
from bootstrapper.backups.take.verify import checksum
from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError

_Mark = tuple[str, int, int, int, int]


@dataclass(frozen=True)
class Seal:
    """The state of a dump when it was verified.

    Attributes:
        sha256: As in its manifest.
        is_strict: Whether ctimes are compared as well. A user who swaps a file and swaps it back cannot reset them, but
            tools that hard-link the files change them too.
        marks: Name, inode, size, mtime, and ctime if strict, of each file.
    """

    sha256: str
    is_strict: bool
    marks: tuple[_Mark, ...]


def seal(path: Path, deadline: Deadline, *, is_strict: bool) -> Seal:
    """Returns the state, the marks read first, so that later changes are detected. Raises OSError."""
    marks = _marks(path, is_strict)
    return Seal(checksum(path, deadline), is_strict, marks)


def require_unbroken(path: Path, where: str, expected: Seal) -> None:
    """Raises BackupError if the marks differ; does not read the content."""
    try:
        found = _marks(path, expected.is_strict)
    except OSError as error:
        raise BackupError(f"cannot read {where} any more: {error.strerror or error}") from error
    if found != expected.marks:
        raise _changed(where)


@contextmanager
def unbroken(path: Path, where: str, expected: Seal | None, deadline: Deadline) -> Iterator[None]:
    """Computes the checksum while the dump is read; raises BackupError at the end if it differs from the seal.

    Does nothing without a seal.
    """
    if expected is None:
        yield
        return
    digest = in_background(lambda: checksum(path, deadline))
    yield
    try:
        is_same = digest.result() == expected.sha256
    except OSError as error:
        raise BackupError(f"cannot read {where} any more: {error.strerror or error}") from error
    if not is_same:
        raise _changed(where)
    require_unbroken(path, where, expected)


def _marks(path: Path, is_strict: bool) -> tuple[_Mark, ...]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = [(file.name, file.stat()) for file in files]
    marks = [(name, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns if is_strict else 0) for name, at in found]
    if is_strict and path.is_dir():
        at = path.stat()
        marks.append((".", at.st_ino, 0, at.st_mtime_ns, at.st_ctime_ns))
    return tuple(marks)


def _changed(where: str) -> BackupError:
    return BackupError(f"{where} was changed after it had been verified", hint="Run the command again.")
