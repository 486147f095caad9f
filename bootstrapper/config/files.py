"""What is in a file, found out once in a run unless the file changes meanwhile."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

Found = TypeVar("Found")


def is_file(path: Path) -> bool:
    """Whether it is a regular file; False where the system refuses to look, as at a name that is too long."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises then


def is_folder(path: Path) -> bool:
    """Whether it is a folder; False where the system refuses to look, as at a name that is too long."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises then


def require_regular(path: Path) -> None:
    """Raises OSError for all but a regular file: a pipe would be waited for, and a device may never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def state_of(path: Path) -> tuple[object, ...]:
    """Another one as soon as somebody writes to the file or puts another in its place; raises OSError for none.

    The time of the last change of the inode, too: tools that copy files give them their old time of modification.
    """
    stat = path.stat()
    return path, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_dev, stat.st_ino


def once(remembered: dict[Any, Any], path: Path, what: Hashable, find: Callable[[], Found]) -> Found:
    """What `find` finds in the file, or found before.

    Args:
        remembered: Of the run, as `Project.remembered`.
        what: Tells what is looked for, together with all that it depends on beside the file.
    """
    state = state_of(path)
    known: tuple[object, Found] | None = remembered.get((what, path))
    if known is None or known[0] != state:
        known = remembered[what, path] = (state, find())
    return known[1]


def sha256(remembered: dict[Any, Any], path: Path) -> str:
    """The digest of the content in hex; raises OSError for a file that can not be read."""

    def find() -> str:
        require_regular(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return once(remembered, path, "sha256", find)
