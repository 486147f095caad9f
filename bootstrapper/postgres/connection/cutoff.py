"""Closes a connection at a deadline, so that no statement outlasts it, and ends its statement on a request to stop."""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.pq.abc import PGcancel

from bootstrapper.deadline import Deadline

_TIDYING_SECONDS = 2.5
"""How long after a request to stop; longer than the programs get that run beside the connection."""


@contextmanager
def cut_off(connection: Connection[Any], deadline: Deadline) -> Iterator[None]:
    """Closes the connection at the deadline while the block runs, so that no statement outlasts it.

    statement_timeout cannot do this: a pooler whose server is gone accepts the statement and never answers. A request
    to stop cancels the statement, and closes the connection only if the block does not end soon.
    """
    seconds = deadline.seconds_left
    if math.isinf(seconds) and deadline.stop is None:
        yield
        return
    # A copy of the descriptor: the original may be closed, and its number taken by something else, when time is up.
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        cutter = _Cutter(line)
        ender = _Ender(connection.pgconn.get_cancel(), cutter) if deadline.stop is not None else None
        watch = deadline.stop.calling(ender) if deadline.stop is not None and ender is not None else nullcontext()
        try:
            with watch:
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
        """From then on no timer shuts the socket, also one that is about to; it is not waited for."""
        with self._lock:
            self._is_over = True
        for timer in self._timers:
            timer.cancel()

    def _shut(self) -> None:
        with self._lock, suppress(OSError):  # closed from the other side already
            if not self._is_over:
                self._line.shutdown(socket.SHUT_RDWR)


class _Ender:
    """Cancels the statement at work, in a thread of its own, since that is a connection to the server."""

    def __init__(self, cancel: PGcancel, cutter: _Cutter) -> None:
        self._cancel = cancel
        self._cutter = cutter

    def __call__(self) -> None:
        self._cutter.cut_after(_TIDYING_SECONDS)
        threading.Thread(target=self._ask, name="bootstrapper-cancel", daemon=True).start()

    def _ask(self) -> None:
        try:
            self._cancel.cancel()
        except psycopg.Error:
            return  # the server cannot be reached; the socket is shut in a moment
