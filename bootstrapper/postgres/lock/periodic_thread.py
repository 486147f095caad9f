"""A thread that does the same again and again beside other work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(act: Callable[[], bool], seconds: float, name: str) -> Iterator[None]:
    """Calls `act` every so many seconds, until it returns False or the block ends; then waits for the thread."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds) and act():
            pass

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
