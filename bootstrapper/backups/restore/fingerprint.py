"""Is a dump still the one that was shown? Asked of what was really read, before any of it counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bootstrapper.backups.client_programs import in_background
from bootstrapper.backups.take.verify import checksum
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError

_Mark = tuple[str, int, int, int, int]


@dataclass(frozen=True)
class Seal:
    """What a dump was when it was found good.

    Attributes:
        sha256: As in its manifest.
        is_strict: Whether the times of each file's last change of any kind count, too. Others who exchange a file and
            put it back cannot set these. A backup of the backups which links the files changes them as well.
        marks: Of each file: name, inode, bytes, nanoseconds of its last write, and of its last change where that
            counts. A backup of the backups, which links or copies its files, leaves all but the last as they are.
    """

    sha256: str
    is_strict: bool
    marks: tuple[_Mark, ...]


def seal(path: Path, deadline: Deadline, *, is_strict: bool) -> Seal:
    """The marks come first: what changes while the checksum is computed breaks the seal too. Raises OSError."""
    marks = _marks(path, is_strict)
    return Seal(checksum(path, deadline), is_strict, marks)


def require_unbroken(path: Path, where: str, expected: Seal) -> None:
    """Looks at the marks only; raises BackupError where they are others."""
    try:
        found = _marks(path, expected.is_strict)
    except OSError as error:
        raise BackupError(f"{where} can not be read any more: {error.strerror or error}") from error
    if found != expected.marks:
        raise _changed(where)


@contextmanager
def unbroken(path: Path, where: str, expected: Seal | None, deadline: Deadline) -> Iterator[None]:
    """Around all reading of a dump, whose checksum is computed beside it; with no seal nothing is asked.

    Raises BackupError at the end where it is not what was sealed.
    """
    if expected is None:
        yield
        return
    digest = in_background(lambda: checksum(path, deadline))
    yield
    try:
        is_same = digest.result() == expected.sha256
    except OSError as error:
        raise BackupError(f"{where} can not be read any more: {error.strerror or error}") from error
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
    return BackupError(f"{where} was changed after it had been looked at", hint="Look at it again.")
