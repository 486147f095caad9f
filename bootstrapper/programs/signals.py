"""Turns SIGINT and SIGTERM into exceptions, so that a run rolls back and releases its lock."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class Terminated(KeyboardInterrupt):
    """Raised by SIGTERM; a KeyboardInterrupt, since psycopg cancels the running statement only for that."""


class _Interruption:
    """A handler that raises at the first signal and exits at the second; the server then rolls back by itself."""

    def __init__(self) -> None:
        self._was_asked = False
        self._before = {number: signal.signal(number, self) for number in _ENDING_SIGNALS}

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._was_asked:
            os._exit(128 + number)
        self._was_asked = True
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def end(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def is_ignored_without(self, number: signal.Signals) -> bool:
        """Returns whether the process ignored the signal before, as a shell lets its background jobs do."""
        return self._before[number] is signal.SIG_IGN


@contextmanager
def interruption_raises() -> Iterator[None]:
    """Installs the handlers; does nothing outside the main thread, where Python does not allow them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interruption = _Interruption()
    try:
        yield
    finally:
        interruption.end()


def restore_signals() -> None:
    """Gives the signals the dispositions that the process was started with, for the program that it becomes.

    A signal that arrived before raises here; one that arrives from then on ends the process, or reaches the program.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
    for number in _ENDING_SIGNALS:
        handler = signal.getsignal(number)
        if isinstance(handler, _Interruption) and handler.is_ignored_without(number):
            signal.signal(number, signal.SIG_IGN)
        elif callable(handler):
            signal.signal(number, signal.SIG_DFL)
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
