"""One process at a time in a folder of ours; the kernel frees the lock when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootstrapper.deadline import Deadline
from bootstrapper.errors import EmbeddedServerError

_POLL_SECONDS = 0.02


@contextmanager
def locked(file: Path, deadline: Deadline) -> Iterator[Deadline]:
    """Waits for the lock. The file stays, since a process that waits for a removed file would not see the next lock."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _taken(descriptor):
            if deadline.has_passed:
                raise EmbeddedServerError(
                    f"another process is still starting or stopping it: {file} is locked",
                    hint="Find out what that process waits for, or end it.",
                )
            time.sleep(_POLL_SECONDS)
        yield deadline
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
