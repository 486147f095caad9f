"""Errors of the operating system in the folder of an embedded server, as ours."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootstrapper.errors import EmbeddedServerError, UnusableServerError

# Errors that are not retryable.
_LASTING = frozenset(
    {
        *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
        errno.ELOOP,
        errno.EEXIST,
    }
)


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turns errors of the operating system into ours, with the place and a hint."""
    try:
        yield
    except OSError as error:
        reason = f"{error.filename or folder}: {error.strerror or error}"
        hints = {
            errno.ENOSPC: f"Free space on the disk of {folder}.",
            errno.EACCES: f"Run as the owner of {folder}.",
            errno.EPERM: f"Run as the owner of {folder}.",
            errno.EROFS: "Name a folder that can be written: `url: embedded:FOLDER`, or the server's address.",
        }
        kind = UnusableServerError if error.errno in _LASTING else EmbeddedServerError
        raise kind(reason, hint=hints.get(error.errno or 0)) from error
