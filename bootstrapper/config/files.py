"""The content of a file, read once in a run unless the file changes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeVar

from bootstrapper.config.content_digest import content_digest
from bootstrapper.config.run_cache import Kept, RunCache

Found = TypeVar("Found")

FileFacts = Kept[tuple[Path, Hashable], tuple[object, Found]]
"""What was found in files, by the file and what it depends on beside it; each with the state that the file had."""

_DIGESTS = FileFacts[str]()


def is_file(path: Path) -> bool:
    """Whether it is a regular file; False if the system refuses to look, as at a name that is too long."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises then


def is_folder(path: Path) -> bool:
    """Whether it is a folder; False if the system refuses to look, as at a name that is too long."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises then


def require_regular(path: Path) -> None:
    """Raises OSError for anything but a regular file: a pipe would block, and a device may never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def state_of(path: Path) -> tuple[object, ...]:
    """Returns a value that differs once the file is written to or replaced; raises OSError if it does not exist."""
    return path, state_in(path.stat())


def state_in(found: os.stat_result) -> tuple[int, ...]:
    """Returns what differs then.

    The time of the last change of the inode, too: tools that copy files give them their old time of modification.
    """
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_dev, found.st_ino


def once(
    cache: RunCache, facts: FileFacts[Found], path: Path, find: Callable[[], Found], *, depends_on: Hashable = None
) -> Found:
    """Returns what `find` finds in the file, or found earlier in the run if the file is still the same.

    Args:
        depends_on: Everything that the result depends on beside the file.
    """
    state, kept = state_of(path), cache.of(facts)
    known = kept.get((path, depends_on))
    if known is None or known[0] != state:
        known = kept[path, depends_on] = (state, find())
    return known[1]


def sha256(cache: RunCache, path: Path) -> str:
    """Returns the digest of the content in hex; raises OSError for a file that cannot be read."""
    return once(cache, _DIGESTS, path, lambda: _hashed(path))


def _hashed(path: Path) -> str:
    require_regular(path)
    with path.open("rb", buffering=0) as file:
        return content_digest(file)
