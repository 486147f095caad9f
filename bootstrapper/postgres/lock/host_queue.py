"""Queues of processes on one host: files in a folder of this user's, locked with `flock`, which a death unlocks."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import re
import stat
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from bootstrapper.deadline import Deadline

UNUSED_SECONDS = 86400.0
SWEPT_SECONDS = 3600.0

_OURS = re.compile(r"[0-9a-f]{32}\.[a-z0-9.]+")
_NAME = re.compile(rb"[0-9a-f]{32}")


def queue_folder() -> Path | None:
    """Returns the folder; None on a system without one for temporary files, such as a read-only container."""
    try:
        return Path(tempfile.gettempdir(), f"bootstrapper-{os.getuid()}")
    except OSError:
        return None


class Line:
    """A wait for one of a few places; it goes on between two calls of `wait`, and keeps its turn."""

    def __init__(self, folder: Path, name: str, places: int, *, is_counted: bool = True) -> None:
        """Takes a random place: any is as good.

        Args:
            is_counted: Whether processes in front see that this one queues.
        """
        self.name = name
        self._path = folder / f"{name}.{random.randrange(places)}"  # noqa: S311 - jitter
        self._crowd_path = folder / f"{name}.crowd"
        self._is_counted = is_counted
        self._crowd: int | None = None
        self._place: int | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_over = False
        self.is_broken = False
        """Whether the queue's files cannot be used."""

    @property
    def is_through(self) -> bool:
        return self._place is not None

    @property
    def is_followed(self) -> bool:
        """Whether others wait for a place."""
        try:
            crowd = opened(self._crowd_path)
        except OSError:
            return False
        try:
            fcntl.flock(crowd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(crowd)
        return False

    def wait(self, deadline: Deadline) -> bool:
        """Whether there is a place in time."""
        if self._thread is None and not self.is_through:
            self._begin()
        while self._thread is not None and self._thread.is_alive() and not deadline.has_passed:
            self._thread.join(min(deadline.tick_seconds, threading.TIMEOUT_MAX))
        return self.is_through

    def _begin(self) -> None:
        """Takes a free place at once; else waits in a thread, since flock has no time limit."""
        try:
            self._place = taken(self._path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if self._is_counted:
                self._count()
            self._thread = threading.Thread(target=self._block, name="bootstrapper-turnstile", daemon=True)
            self._thread.start()
        except OSError:
            self.is_broken = True

    def _count(self) -> None:
        """Takes a shared lock, as every process in the queue does."""
        with suppress(OSError):  # one in front may be looking at this very moment
            self._crowd = opened(self._crowd_path)
            fcntl.flock(self._crowd, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def _uncount(self) -> None:
        if self._crowd is not None:
            os.close(self._crowd)
            self._crowd = None

    def _block(self) -> None:
        try:
            place = taken(self._path, fcntl.LOCK_EX)
        except OSError:
            return
        with self._lock:
            self._uncount()
            if self._is_over:
                os.close(place)
            else:
                self._place = place

    def leave(self) -> None:
        """Gives the place back; a thread that still waits in the kernel gives it back when it gets it."""
        with self._lock:
            self._is_over = True
            if self._place is not None:
                os.close(self._place)
                self._place = None
            self._uncount()


def name_of(folder: Path, where: str) -> str:
    """Returns the queue for an address: that of the database it leads to, where that is known."""
    try:
        found = (folder / f"{where}.is").read_bytes()
    except OSError:
        return where
    return found.decode() if _NAME.fullmatch(found) else where


def remember(folder: Path, where: str, name: str) -> None:
    if name_of(folder, where) == name:
        return
    with suppress(OSError):
        descriptor = opened(folder / f"{where}.is")
        try:
            os.pwrite(descriptor, name.encode(), 0)
        finally:
            os.close(descriptor)


def taken(path: Path, operation: int) -> int:
    """Returns the file, locked. One that was swept away meanwhile is made again; BlockingIOError if it is not free."""
    while True:
        descriptor = opened(path)
        try:
            fcntl.flock(descriptor, operation)
            if _is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def opened(path: Path) -> int:
    """Opens the file, in a folder that only this user can write to; raises OSError otherwise."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    require_private(path.parent)
    if not path.exists():
        sweep(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with suppress(OSError):
        os.utime(descriptor)  # it is in use
    return descriptor


def require_private(folder: Path) -> None:
    """Raises OSError unless it is a folder that only this user can write to."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(errno.EACCES, f"{folder} is not ours alone")


def sweep(folder: Path) -> None:
    """Removes files of databases that no run asked for in a day; at most once an hour, when another database comes."""
    with suppress(OSError):
        swept = folder / "swept"
        if swept.exists() and not _is_older(swept, SWEPT_SECONDS):
            return
        swept.touch(mode=0o600)
        for path in folder.iterdir():
            if _OURS.fullmatch(path.name):
                with suppress(OSError):
                    _remove(path)


def _is_older(path: Path, seconds: float) -> bool:
    return time.time() - path.lstat().st_mtime > seconds


def _remove(path: Path) -> None:
    """Removes the file under its lock; a process that opened it before notices that, and creates it again."""
    if not _is_older(path, UNUSED_SECONDS):
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_older(path, UNUSED_SECONDS):
            path.unlink()
    finally:
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    own = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)
