"""A point in time that work must not outlast, by a monotonic clock, and a request to stop before."""

from __future__ import annotations

import _thread
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

GIVE_LONGER = "Allow more time with its `timeout`, limits:, or --timeout."
"""The hint for a step whose deadline was exceeded, whichever limit set it."""

_TICK_SECONDS = 0.1  # how late a wait that only the clock ends notices a request to stop


class Stopped(KeyboardInterrupt):
    """Raised in a run that is asked to stop, by what it waits for; handled as an interruption by a signal is."""


class Stop:
    """A request that a run ends early, made from any thread: what is open is rolled back, the lock is released.

    It is made once; several runs may share one.
    """

    def __init__(self) -> None:
        self._told = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: dict[object, Callable[[], None]] = {}
        self._is_set = False
        self.reason = ""

    @property
    def is_set(self) -> bool:
        return self._is_set

    def set(self, reason: str = "a request to stop") -> None:
        """Asks for the end, and returns at once; the first reason counts, such as `SIGTERM`.

        A signal handler may call it, whatever the thread that it interrupts holds: locks are taken in another thread.
        """
        if self._is_set:
            return
        self.reason = reason
        self._is_set = True
        _thread.start_new_thread(self._tell, ())  # one of `threading` takes locks before it starts

    def _tell(self) -> None:
        with self._lock:
            self._told.set()
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            callback()

    def wait(self, seconds: float) -> bool:
        """Waits so long, or until it is set; returns whether it is."""
        return self._told.wait(seconds)

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Calls back once, from any thread, if it is set while the block runs or before; the callback must not wait."""
        key = object()
        with self._lock:
            self._callbacks[key] = callback
            is_late = self._told.is_set()
        if is_late:
            callback()
        try:
            yield
        finally:
            with self._lock:
                del self._callbacks[key]


class Deadline:
    """A time limit. `Deadline.never()` has infinitely many seconds left; one with a stop passes when that is set."""

    def __init__(self, at: float, stop: Stop | None = None) -> None:
        self._at = at
        self.stop = stop

    @classmethod
    def after(cls, seconds: float | None, stop: Stop | None = None) -> Self:
        return cls(math.inf if seconds is None else time.monotonic() + seconds, stop)

    @classmethod
    def never(cls) -> Self:
        return cls(math.inf)

    @property
    def seconds_left(self) -> float:
        """Never below zero; may be infinite."""
        return 0.0 if self.is_stopped else max(0.0, self._at - time.monotonic())

    @property
    def tick_seconds(self) -> float:
        """How long to wait before asking again whether it has passed; never longer than it has left."""
        return self.seconds_left if self.stop is None else min(self.seconds_left, _TICK_SECONDS)

    @property
    def has_passed(self) -> bool:
        """Whether no time is left."""
        return self.seconds_left <= 0

    @property
    def is_stopped(self) -> bool:
        """Whether it passed because of a request to stop."""
        return self.stop is not None and self.stop.is_set

    def sleep(self, seconds: float) -> None:
        """Sleeps so long, but never past the deadline."""
        seconds = min(seconds, self.seconds_left)
        if self.stop is None:
            time.sleep(seconds)  # ends when a signal's handler raises
        else:
            self.stop.wait(seconds)

    def sooner(self, seconds: float | None) -> Deadline:
        """Returns the earlier of this deadline and one so many seconds from now."""
        return self if seconds is None else Deadline(min(self._at, time.monotonic() + seconds), self.stop)

    def later(self, seconds: float) -> Deadline:
        """Returns a deadline that is so many seconds later; infinite stays infinite."""
        return Deadline(self._at + seconds, self.stop)

    def at_least(self, seconds: float) -> Deadline:
        """Returns this deadline, or one so many seconds from now where less is left, for tidying up after it."""
        return self if self.seconds_left >= seconds else Deadline.after(seconds)

    def revocable(self) -> Revocable:
        """Returns the same deadline, revocable, for work that may become pointless before."""
        return Revocable(self._at, self.stop)


class Revocable(Deadline):
    """A deadline that any thread may let pass at any moment; deadlines derived from it stay."""

    def revoke(self) -> None:
        self._at = -math.inf
