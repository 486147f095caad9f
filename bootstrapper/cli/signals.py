"""Turns a polite request to end into an exception, so that a run rolls back and releases what it holds."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM came. A KeyboardInterrupt, because psycopg cancels the running statement for no other exception."""


class _Interruption:
    """The first signal asks, the second insists: then nothing is tidied up, the server does that when we are gone."""

    def __init__(self) -> None:
        self._was_asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._was_asked:
            os._exit(128 + number)
        self._was_asked = True
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


@contextmanager
def interruption_raises() -> Iterator[None]:
    """Only in the main thread, where Python lets signals be handled."""
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
