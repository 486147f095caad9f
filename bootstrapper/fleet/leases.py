"""The limit of targets of one server at a time, as the coordinators of one scheduler share it: by leases of Dask.

The worker holds the lease while it is at a target, so that a coordinator that dies does not give away what still runs.
Dask ends the lease of a worker that died when it was not renewed for 30 seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

from bootstrapper.fleet.work import Task

_LONGEST_WAIT_SECONDS = 1.0
"""How long a worker waits for a lease; in the meantime it does nothing else, but is in the queue for it."""


def lease_of(server: str, most: int) -> tuple[str, int]:
    """Returns the name of the limit, which tells nothing about the server, and the limit."""
    return f"bootstrapper-{sha256(server.encode(errors='backslashreplace')).hexdigest()[:32]}-{most}", most


@dataclass(frozen=True, slots=True)
class Leased:
    """Work that is done with a lease of the server of its targets; returns None if there was none in time."""

    work: Callable[[Any], Any]

    def __call__(self, asked: Task | Sequence[Task]) -> Any:
        task = asked if isinstance(asked, Task) else asked[0]
        if task.lease is None:
            return self.work(asked)
        from distributed import get_worker  # noqa: PLC0415 - runs on a worker of Dask

        limit = _limit(get_worker().id, *task.lease)
        if not limit.acquire(timeout=_LONGEST_WAIT_SECONDS):
            return None
        try:
            return self.work(asked)
        finally:
            limit.release()


@cache
def _limit(worker: str, name: str, most: int) -> Any:
    """Returns what asks the scheduler for leases, which renews those of this worker."""
    from distributed import Semaphore  # noqa: PLC0415 - as above

    return Semaphore(max_leases=most, name=name)
