"""The processes that work on targets: those of a Dask cluster, or a few of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from multiprocessing.connection import wait
from typing import Any, Protocol

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import UnreachableError, UsageError
from bootstrapper.text import one_line

_CONNECT_SECONDS = "10s"
_QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
"""Without these, Dask's processes watch themselves for as long as a target's quick look takes, and tell it by HTTP."""


class Pool(Protocol):
    """Processes that calls are submitted to; `size` is how many work at the same time."""

    @property
    def size(self) -> int: ...

    def submit(self, function: Callable[[Any], Any], task: object, /) -> Future[Any]: ...


class LocalPool:
    """Processes of this machine. If one dies, those that are left are replaced, and what they were at has failed."""

    def __init__(self, size: int) -> None:
        self.size = size
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


@dataclass(frozen=True)
class _DaskPool:
    size: int
    client: Any
    executor: Any

    def submit(self, function: Callable[[Any], Any], task: object, /) -> Future[Any]:
        """Raises UnreachableError if the scheduler is lost."""
        try:
            found: Future[Any] = self.executor.submit(function, task)
        except Exception as error:
            if self.client.status != "closed":
                raise
            raise UnreachableError("the scheduler of Dask", one_line(str(error))) from error
        return found


@contextmanager
def dask_pool(size: int, *, dashboard: bool) -> Iterator[Pool]:
    """Workers of a Dask cluster on this machine, which ends with the block.

    It listens on the loopback interface alone, and its processes know each other by certificates that it makes: a
    client that reaches a scheduler can run any code. Raises UsageError without the extra `fleet`.
    """
    distributed = _distributed()
    import dask  # noqa: PLC0415 - comes with the extra

    with ExitStack() as stack:
        with _deaf_children(), nullcontext() if dashboard else dask.config.set(_QUIET):
            cluster = distributed.LocalCluster(
                n_workers=size,
                threads_per_worker=1,
                host="127.0.0.1",
                security=True,
                dashboard_address=f"127.0.0.1:{8787 if dashboard else 0}",
                scheduler_kwargs={"dashboard": dashboard},
                memory_limit=0,
                silence_logs=50,
            )
        stack.enter_context(cluster)
        client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
        yield _DaskPool(size, client, client.get_executor(pure=False))


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes that are started in the block ignore SIGINT, which a terminal sends to all: we end them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def connected_pool(most: int | None, scheduler: str) -> Iterator[Pool]:
    """Workers of the Dask cluster whose scheduler is named; at most so many at the same time.

    Raises UsageError without the extra `fleet`, UnreachableError if the scheduler is not reached or has no workers.
    """
    distributed = _distributed()
    try:
        client = distributed.Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise UnreachableError(f"the scheduler {scheduler}", one_line(str(error))) from error
    with client:
        workers = sum(client.nthreads().values())
        if workers == 0:
            raise UnreachableError(f"the scheduler {scheduler}", "it has no workers")
        yield _DaskPool(min(most or workers, workers), client, client.get_executor(pure=False))


def _distributed() -> Any:
    """Returns Dask's package; raises UsageError where it is not installed."""
    try:
        import distributed  # noqa: PLC0415 - an extra, and it takes a second to load
    except ImportError as error:
        raise UsageError(
            f"the extra `fleet` is not installed: {one_line(str(error))}",
            hint="Use `--shard 0/1`, which needs no cluster, or: pip install 'pg-bootstrapper[fleet]'",
        ) from error
    return distributed


def processors() -> int:
    """Returns how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone, also in the middle of its work."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="bootstrapper-parent").start()
