"""Turns SIGINT and SIGTERM into exceptions, so that a run rolls back and releases its lock."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """Raised by SIGTERM; a KeyboardInterrupt, since psycopg cancels the running statement only for that."""


class _Interruption:
    """A handler that raises at the first signal and exits at the second; the server then rolls back by itself."""

    def __init__(self) -> None:
        self._was_asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._was_asked:
            os._exit(128 + number)
        self._was_asked = True
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


@contextmanager
def interruption_raises() -> Iterator[None]:
    """Installs the handlers; does nothing outside the main thread, where Python does not allow them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interruption = _Interruption()
    before = {number: signal.signal(number, interruption) for number in _ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
