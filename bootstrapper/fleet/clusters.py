"""Clusters of Dask: one on this machine, or one that runs already."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import UnreachableError, UsageError
from bootstrapper.fleet.pools import Pool, quiet_tracker
from bootstrapper.text import one_line

_CONNECT_SECONDS = "10s"
_KEY = "bootstrapper-"
"""Begins the keys of our calls, by which the scheduler tells them from those of others."""
_DEAF = {"distributed.worker.preload": ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"]}
"""What workers that are started again begin with, for the same reason as `_deaf_children`."""

_QUIET = {
    **_DEAF,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
"""Without these, Dask's processes watch themselves for as long as a target's quick look takes, and tell it by HTTP."""

_LIVELY = {**_DEAF, "distributed.worker.profile.enabled": sys.version_info >= (3, 11, 9)}
"""Before that, a worker that profiles itself may hang while it starts a thread (python/cpython#106883)."""


@dataclass(frozen=True)
class _DaskPool:
    size: int
    client: Any

    def submit(self, function: Callable[[Any], Any], task: object, /) -> Future[Any]:
        """Raises UnreachableError if the scheduler is lost."""
        try:
            call = self.client.submit(function, task, key=f"{_KEY}{uuid4().hex}", pure=False, retries=0)
        except Exception as error:
            if self.client.status != "closed":
                raise
            raise UnreachableError("the scheduler of Dask", one_line(str(error))) from error
        ended: Future[Any] = Future()
        call.add_done_callback(partial(_pass_on, ended))
        return ended


def _pass_on(ended: Future[Any], call: Any) -> None:
    """Ends a future as the call ended. Dask's own executor never does where the result is lost before it is fetched."""
    try:
        result = call.result()
    except BaseException as error:  # noqa: BLE001 - what waits for it gets it
        ended.set_exception(error)
    else:
        ended.set_result(result)


@contextmanager
def dask_pool(size: int, *, dashboard: bool) -> Iterator[Pool]:
    """Workers of a Dask cluster on this machine, which ends with the block.

    It listens on the loopback interface alone, and its processes know each other by certificates that it makes: a
    client that reaches a scheduler can run any code. Raises UsageError without the extra `fleet`.
    """
    distributed = _distributed()
    import dask  # noqa: PLC0415 - comes with the extra

    quiet_tracker()
    with ExitStack() as stack:
        # for as long as the cluster: a worker that is started again gets what is set at that time
        stack.enter_context(dask.config.set(_LIVELY if dashboard else _QUIET))
        with _deaf_children():
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
        yield _pool(size, client)


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
        yield _pool(min(most or workers, workers), client)


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


def _pool(size: int, client: Any) -> _DaskPool:
    client.run_on_scheduler(_starts_once(_KEY))
    return _DaskPool(size, client)


def _starts_once(prefix: str) -> Callable[[Any], None]:
    """Returns what makes a scheduler give up a call whose worker is gone, instead of starting it again by itself.

    How often a target is tried is for the file to say. The function holds all that it needs, since Dask sends it by its
    code then: a scheduler need not have bootstrapper.
    """

    def install(dask_scheduler: Any) -> None:
        from distributed import SchedulerPlugin  # noqa: PLC0415 - runs in the scheduler

        class StartsOnce(SchedulerPlugin):  # type: ignore[misc]  # Dask has no types
            name = "bootstrapper-starts-once"

            def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
                if finish == "processing" and str(key).startswith(prefix):
                    call = dask_scheduler.tasks[key]
                    call.suspicious = dask_scheduler.allowed_failures  # one death more than Dask tolerates
                    call.has_lost_dependencies = True  # what is released otherwise, as with its result, is forgotten

        dask_scheduler.add_plugin(StartsOnce(), idempotent=True)

    return install
