"""A connection whose statement at work is cancelled when its run is asked to stop."""

from __future__ import annotations

from typing import Any, TypeVar

from psycopg import Connection
from psycopg.abc import PQGen

from bootstrapper.deadline import Stop, Stopped

_LONGEST_CANCEL_SECONDS = 1.0  # a server that does not answer any more does not answer this either

T = TypeVar("T")


class StoppableConnection(Connection[Any]):
    """Raises Stopped once: from the statement at work, which is cancelled first, or from the next one.

    What comes afterwards rolls back, releases the lock and records the end. The thread that waits for the statement
    sends the cancel and waits until it was delivered, so it never hits another statement.
    """

    stop: Stop | None = None

    def wait(self, gen: PQGen[T], *arguments: Any, **options: Any) -> T:
        stop = self.stop
        if stop is None:
            return super().wait(gen, *arguments, **options)
        if stop.is_set:
            self.stop = None
            gen.close()
            raise Stopped(stop.reason)
        watched: Any = _Watched(gen, stop)
        try:
            result: T = super().wait(watched, *arguments, **options)
        except Stopped:
            self.stop = None
            raise
        return result

    def cancel_safe(self, *, timeout: float = _LONGEST_CANCEL_SECONDS) -> None:
        super().cancel_safe(timeout=min(timeout, _LONGEST_CANCEL_SECONDS))


class _Watched:
    """A generator that raises Stopped in between, as a signal would; psycopg then cancels, and waits for it again."""

    def __init__(self, gen: PQGen[Any], stop: Stop) -> None:
        self._gen = gen
        self._stop: Stop | None = stop
        self._wants: Any = None

    def __next__(self) -> Any:
        if self._wants is None:
            self._wants = next(self._gen)
        return self._wants

    def send(self, ready: Any) -> Any:
        if self._stop is not None and self._stop.is_set:
            reason, self._stop = self._stop.reason, None
            raise Stopped(reason)
        self._wants = self._gen.send(ready)
        return self._wants
