"""Gives targets to a pool, as many at a time as it has processes and each server takes, and tries some again."""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import field
from typing import Any

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import ExitCode
from bootstrapper.fleet.places import Placed
from bootstrapper.fleet.pools import Pool
from bootstrapper.fleet.work import Result, Task
from bootstrapper.text import one_line

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0
_TICK_SECONDS = 0.5

Work = Callable[[Task], Result]


@dataclass(frozen=True)
class Limits:
    """How many targets at a time, altogether and of one server, and how often one is tried again."""

    parallel: int
    per_server: int | None
    retry: int


@dataclass(order=True)
class _Job:
    ready_at: float
    number: int
    placed: Placed = field(compare=False)
    attempts: int = field(default=0, compare=False)


class Dispatch:
    """The targets of a wave that wait, and those that run; holds no result."""

    def __init__(self, pool: Pool, work: Work, task_of: Callable[[Placed], Task], limits: Limits) -> None:
        """Takes what is done for a target, and what that is told."""
        self._pool = pool
        self._work = work
        self._task_of = task_of
        self._limits = limits
        self._waiting: dict[str, deque[_Job]] = defaultdict(deque)
        self._servers: deque[str] = deque()
        self._paused: list[_Job] = []
        self._running: dict[Future[Any], _Job] = {}
        self._busy: Counter[str] = Counter()

    def run(
        self,
        targets: Iterable[Placed],
        *,
        may_start: Callable[[], bool],
        on_end: Callable[[Placed, Result, int], None],
        on_tick: Callable[[int], None] = lambda running: None,
    ) -> int:
        """Does the targets; returns how many were not, since nothing more might be started.

        Args:
            may_start: Asked before each one, also before another attempt.
            on_end: Called with the last result of each target and the number of its attempts, in this thread.
            on_tick: Called now and then with how many targets run.
        """
        for number, placed in enumerate(targets):
            self._put(_Job(0.0, number, placed))
        while True:
            if may_start():
                self._start()
            on_tick(len(self._running))
            if not self._running and (not may_start() or not (self._paused or self._servers)):
                return sum(map(len, self._waiting.values())) + len(self._paused)
            self._take(on_end)

    def _put(self, job: _Job) -> None:
        queue = self._waiting[job.placed.server]
        if not queue:
            self._servers.append(job.placed.server)
        queue.append(job)

    def _start(self) -> None:
        """Starts what may run now; servers take turns."""
        now = time.monotonic()
        while self._paused and self._paused[0].ready_at <= now:
            self._put(heapq.heappop(self._paused))
        for _ in range(len(self._servers)):
            if len(self._running) >= self._limits.parallel:
                return
            server = self._servers.popleft()
            queue = self._waiting[server]
            most = self._limits.per_server or self._limits.parallel
            while queue and self._busy[server] < most and len(self._running) < self._limits.parallel:
                self._submit(queue.popleft())
            if queue:
                self._servers.append(server)
            else:
                del self._waiting[server]

    def _submit(self, job: _Job) -> None:
        job.attempts += 1
        self._busy[job.placed.server] += 1
        self._running[self._pool.submit(self._work, self._task_of(job.placed))] = job

    def _take(self, on_end: Callable[[Placed, Result, int], None]) -> None:
        """Waits for the next results, or for a target whose pause is over."""
        if not self._running:
            time.sleep(max(0.0, min(_TICK_SECONDS, self._paused[0].ready_at - time.monotonic())))
            return
        ended, _ = wait(self._running, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED)
        for future in ended:
            job = self._running.pop(future)
            self._busy[job.placed.server] -= 1
            result = _result(job, future)
            if result.is_retryable and job.attempts <= self._limits.retry:
                job.ready_at = time.monotonic() + _pause(job.attempts)
                heapq.heappush(self._paused, job)
            else:
                on_end(job.placed, result, job.attempts)


def _result(job: _Job, future: Future[Any]) -> Result:
    """Returns the result; work never raises, so that an exception is the end of the worker, which is retryable."""
    error: BaseException | None
    try:
        error = future.exception()
    except BaseException as cancelled:
        if isinstance(cancelled, KeyboardInterrupt):
            raise
        error = cancelled
    if error is None:
        found: Result = future.result()
        return found
    said = f"its worker was lost: {type(error).__name__}: {one_line(str(error))}"
    return Result(job.placed.target.name, "failed", int(ExitCode.UNREACHABLE), 0.0, message=said)


def _pause(attempts: int) -> float:
    longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempts)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter
