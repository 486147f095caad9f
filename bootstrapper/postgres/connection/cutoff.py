"""Closes a connection at a deadline, so that no statement outlasts it, and soon after a request to stop."""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

from psycopg import Connection

from bootstrapper.deadline import Deadline

TIDYING_SECONDS = 1.5
"""How long after a request to stop, which has cancelled the statement at work, what is open may be rolled back."""


@contextmanager
def cut_off(
    connection: Connection[Any], deadline: Deadline, *, tidying_seconds: float = TIDYING_SECONDS
) -> Iterator[None]:
    """Closes the connection at the deadline while the block runs, so that no statement outlasts it.

    statement_timeout cannot do this: a pooler whose server is gone accepts the statement and never answers.

    Args:
        tidying_seconds: Until the connection is closed after a request to stop.
    """
    seconds, stop = deadline.seconds_left, deadline.stop
    if math.isinf(seconds) and stop is None:
        yield
        return
    # A copy of the descriptor: the original may be closed, and its number taken by something else, when time is up.
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        cutter = _Cutter(line)
        try:
            with stop.calling(partial(cutter.cut_after, tidying_seconds)) if stop is not None else nullcontext():
                if not math.isinf(seconds):
                    cutter.cut_after(seconds)
                yield
        finally:
            cutter.let_go()


class _Cutter:
    """Shuts a socket after a while, unless it is let go before; set again, the sooner one counts."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._timers: list[threading.Timer] = []
        self._lock = threading.Lock()
        self._is_over = False

    def cut_after(self, seconds: float) -> None:
        with self._lock:
            if self._is_over:
                return
            timer = threading.Timer(seconds, self._shut)
            timer.daemon = True
            self._timers.append(timer)
            timer.start()

    def let_go(self) -> None:
        """From its return on, no timer shuts the socket."""
        with self._lock:
            self._is_over = True
        for timer in self._timers:
            timer.cancel()

    def _shut(self) -> None:
        with self._lock, suppress(OSError):  # closed from the other side already
            if not self._is_over:
                self._line.shutdown(socket.SHUT_RDWR)
