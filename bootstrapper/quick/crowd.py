"""Lets few processes of a user on this host look at once: hundreds that start together would fill the server.

Places are files, locked with `flock`, which a death unlocks, in the folder of the turnstile (`postgres/lock`).
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress

PLACES = 4
LONGEST_SECONDS = 60.0
_FAILED_SECONDS = 10.0
# A look takes much less, but hundreds of starting processes share the cores with it. One that is stopped, as by a
# debugger, does not end.
_STILL_SECONDS = 15.0


class CrowdedError(Exception):
    """No place in time, or the one who had it just now did not reach the server."""


class Place:
    """A place, in a `with`; without a folder for it, as in a read-only container, it is not waited for."""

    def __init__(self, longest_seconds: float = LONGEST_SECONDS, is_over: Callable[[], bool] = bool) -> None:
        """Takes how long to wait, and what ends the wait before."""
        self._longest_seconds = longest_seconds
        self._is_over = is_over
        self._file: int | None = None

    def __enter__(self) -> Place:
        """Waits for it; raises CrowdedError."""
        now = time.monotonic()
        deadline, turn, began = now + self._longest_seconds, 0, now
        try:
            self._file = _opened(f"quick.{os.getpid() % PLACES}")
            while not _is_taken(self._file):
                turn, now, before = os.fstat(self._file).st_mtime_ns, time.monotonic(), turn
                began = began if turn == before else now
                if now > min(deadline, began + _STILL_SECONDS) or self._is_over():
                    raise CrowdedError("no place in time")
                time.sleep((20 + os.getpid() % 64) / 1000)  # rarely, so that those who look have the cores
            found = os.fstat(self._file)
            if found.st_size and time.time() - found.st_mtime < _FAILED_SECONDS:
                raise CrowdedError("the server was not reached")
        except OSError:
            return self
        except CrowdedError:
            self._leave()
            raise
        return self

    def tell(self, is_reached: bool) -> None:
        """Tells the next one whether the server was reached."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, b"" if is_reached else b"not reached", 0)

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def alone() -> int | None:
    """Takes what only one process of this user on this host has at a time; returns a descriptor, which is to be kept.

    Raises OSError without a folder for it.
    """
    file = _opened("alone")
    if _is_taken(file):
        return file
    os.close(file)
    return None


def _is_taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _opened(name: str) -> int:
    """Opens a file, in a folder that only this user can write to; raises OSError."""
    folder = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"bootstrapper-{os.getuid()}")  # noqa: S108 - made private
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(folder)
    return os.open(os.path.join(folder, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
