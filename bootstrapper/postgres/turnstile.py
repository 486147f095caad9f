"""Lets only a few processes of one host at a time go to the same server.

Hundreds of replicas that start together would fill the server's connections before one of them has the lock. Those of
one host queue here instead: a few look and wait for the lock, the others wait in the kernel, without a connection and
without polling. A queue that does not move is left after a while, so nothing depends on it but the load.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PLACES = 4
SHORTEST_PATIENCE_SECONDS = 15.0
LONGEST_PATIENCE_SECONDS = 30.0


class Turnstile:
    """One process's way through. A place is given back when the process ends, however it ends."""

    def __init__(self, where: str, folder: Path | None = None) -> None:
        """Takes what all replicas name alike.

        Args:
            where: The server and database.
            folder: For tests; else one of this user's under the system's temporary folder.
        """
        self._folder = folder or Path(tempfile.gettempdir(), f"bootstrapper-{os.getuid()}")
        self._name = hashlib.sha256(where.encode()).hexdigest()[:32]
        self._place: int | None = None
        self._is_past = False

    @property
    def has_place(self) -> bool:
        return self._place is not None

    @property
    def has_followers(self) -> bool:
        """Whether others of this host queue while this process has a place."""
        if self._place is None:
            return False
        try:
            crowd = _open(self._folder / f"{self._name}.crowd")
        except OSError:
            return False
        try:
            fcntl.flock(crowd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(crowd)
        return False

    def enter(self, seconds_left: float) -> None:
        """Waits for a place, at most for a while and for half of the time that is left; then goes on without one."""
        if self._is_past or self._place is not None:
            return
        patience = random.uniform(SHORTEST_PATIENCE_SECONDS, LONGEST_PATIENCE_SECONDS)  # noqa: S311 - jitter
        self._place = _Queue(self._folder, self._name).wait(min(patience, seconds_left / 2))

    def leave(self) -> None:
        """Gives the place to the next, for good: this process does not queue again."""
        self._is_past = True
        if self._place is not None:
            os.close(self._place)
            self._place = None


class _Queue:
    """The attempt to get one place; the thread that waits in the kernel may outlast the patience."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.{random.randrange(PLACES)}"  # noqa: S311 - any place is as good
        self._crowd = folder / f"{name}.crowd"
        self._lock = threading.Lock()
        self._is_over = False
        self._place: int | None = None

    def wait(self, seconds: float) -> int | None:
        """A descriptor that holds a place; None where there is none in time, or no folder to queue in."""
        try:
            descriptor = _open(self._path)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return self._wait_in_kernel(descriptor, seconds)
        return descriptor

    def _wait_in_kernel(self, descriptor: int, seconds: float) -> int | None:
        """The kernel wakes the next in line at once, which no polling could do; but it knows no time limit."""
        thread = threading.Thread(target=self._block, args=[descriptor], name="bootstrapper-turnstile", daemon=True)
        thread.start()
        with self._counted():
            thread.join(seconds)
        with self._lock:
            self._is_over = True
            return self._place

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Shows those in front that somebody queues, by a lock that all who queue share."""
        try:
            crowd = _open(self._crowd)
        except OSError:
            yield
            return
        try:
            with suppress(OSError):  # one in front is looking at this very moment
                fcntl.flock(crowd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield
        finally:
            os.close(crowd)

    def _block(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            os.close(descriptor)
            return
        with self._lock:
            if self._is_over:
                os.close(descriptor)
            else:
                self._place = descriptor


def _open(path: Path) -> int:
    """The file, in a folder that nobody else can write to; raises OSError where it is not ours alone."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    found = path.parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{path.parent} is not ours alone")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
