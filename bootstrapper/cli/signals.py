"""Turns a polite request to end into an exception, so that a run rolls back and releases what it holds."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM came. A KeyboardInterrupt, because psycopg cancels the running statement for no other exception."""


@contextmanager
def termination_raises() -> Iterator[None]:
    """Only in the main thread, where Python lets signals be handled."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Terminated
