"""The processes that work on targets: a few of this machine; those of Dask are in `clusters.py`."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any, Protocol


class Pool(Protocol):
    """Processes that calls are submitted to; `size` is how many work at the same time."""

    @property
    def size(self) -> int: ...

    def submit(self, function: Callable[[Any], Any], task: object, /) -> Future[Any]: ...


class LocalPool:
    """Processes of this machine. If one dies, those that are left are replaced, and what they were at has failed."""

    def __init__(self, size: int) -> None:
        self.size = size
        quiet_tracker()
        self._executor = self._new()

    def submit(self, function: Callable[[Any], Any], task: object, /) -> Future[Any]:
        try:
            return self._executor.submit(function, task)
        except BrokenExecutor:
            self._executor.shutdown(wait=False)
            self._executor = self._new()
            return self._executor.submit(function, task)

    def close(self, *, waits: bool) -> None:
        """Ends the processes; without waiting, what they are at is cut off, as by a kill."""
        children = list(self._executor._processes.values()) if self._executor._processes else []
        if not waits:
            for child in children:
                child.terminate()
        self._executor.shutdown(wait=waits, cancel_futures=True)

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.size, multiprocessing.get_context("spawn"), initializer=_end_with_parent)


@contextmanager
def local_pool(size: int) -> Iterator[LocalPool]:
    pool = LocalPool(size)
    is_whole = False
    try:
        yield pool
        is_whole = True
    finally:
        pool.close(waits=is_whole)


def death(error: BaseException) -> str | None:
    """Returns what a call ended with if that is the end of its worker, or of the connection to it."""
    if type(error).__name__ == "KilledWorker":  # of Dask, which may not be installed
        worker = getattr(getattr(error, "last_worker", None), "address", None)
        return f"its worker {worker} died" if worker else "its worker died"
    if isinstance(error, BrokenExecutor):
        return "its worker died"
    if isinstance(error, CancelledError):
        return "its worker was lost"
    return f"the connection to its worker was lost: {error}" if isinstance(error, OSError) else None


def processors() -> int:
    """Returns how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def quiet_tracker() -> None:
    """Starts the process that removes what processes share, so that it does not warn if a second Ctrl-C ends this one.

    It takes its filter of warnings from this process, as it starts.
    """
    before = list(sys.warnoptions)
    sys.warnoptions.append("ignore::UserWarning:multiprocessing.resource_tracker")
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions[:] = before


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone, also in the middle of its work."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="bootstrapper-parent").start()
