"""Gives targets to a pool, as many at a time as it has processes and each server takes, and tries some again."""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import field
from typing import Any

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import BootstrapperError, ExitCode
from bootstrapper.fleet.places import Placed
from bootstrapper.fleet.pools import Pool, death
from bootstrapper.fleet.work import Result, Task
from bootstrapper.text import error_lines, one_line

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0
_TICK_SECONDS = 0.5
_MOST_AT_ONCE = 16

_BUSY_SECONDS = 0.3
"""The pause after other coordinators had all leases of a server; a worker waited for one before."""

Work = Callable[[Task], Result | None]
OnEnd = Callable[[Placed, Result, int], None]
Look = Callable[[Sequence[Task]], Sequence[Result | None] | None]
"""Looks at several targets, for which Dask takes less time than for each alone; None is for one that needs work.

Both return None if nothing was done, since other coordinators had all leases of the server.
"""


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
    is_looked_at: bool = field(default=False, compare=False)


class Dispatch:
    """The targets of a wave that wait, and those that run; holds no result."""

    def __init__(
        self, pool: Pool, work: Work, task_of: Callable[[Placed], Task], limits: Limits, look: Look | None = None
    ) -> None:
        """Takes what is done for a target, what that is told, and what finds targets for which nothing is to do."""
        self._pool = pool
        self._work = work
        self._task_of = task_of
        self._limits = limits
        self._look = look
        self._waiting: dict[str, deque[_Job]] = defaultdict(deque)
        self._servers: deque[str] = deque()
        self._paused: list[_Job] = []
        self._running: dict[Future[Any], Sequence[_Job]] = {}
        self._busy: Counter[str] = Counter()

    def run(
        self,
        targets: Iterable[Placed],
        *,
        may_start: Callable[[], bool],
        on_end: OnEnd,
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
            while may_start() and not self._start(on_end):
                pass
            on_tick(len(self._running))
            if not self._running and (not may_start() or not (self._paused or self._servers)):
                return sum(map(len, self._waiting.values())) + len(self._paused)
            self._take(on_end)

    def _put(self, job: _Job, *, first: bool = False) -> None:
        queue = self._waiting[job.placed.server]
        if not queue:
            self._servers.append(job.placed.server)
        (queue.appendleft if first else queue.append)(job)

    def _start(self, on_end: OnEnd) -> bool:
        """Starts what may run now; servers take turns. Returns False after a target that failed before it began."""
        now = time.monotonic()
        while self._paused and self._paused[0].ready_at <= now:
            self._put(heapq.heappop(self._paused))
        for _ in range(len(self._servers)):
            if len(self._running) >= self._limits.parallel:
                return True
            server = self._servers.popleft()
            queue = self._waiting[server]
            most = self._limits.per_server or self._limits.parallel
            is_begun = True
            while queue and is_begun and self._busy[server] < most and len(self._running) < self._limits.parallel:
                is_begun = self._submit(server, self._next(queue), on_end)
            if queue:
                self._servers.append(server)
            else:
                del self._waiting[server]
            if not is_begun:
                return False
        return True

    def _next(self, queue: deque[_Job]) -> list[_Job]:
        """Takes the next target; or several, if that many are left that they may be looked at together first."""
        size = 1 if self._look is None else min(_MOST_AT_ONCE, len(queue) // (2 * self._limits.parallel))
        jobs = [queue.popleft()]
        while len(jobs) < size and not (jobs[0].is_looked_at or queue[0].is_looked_at):
            jobs.append(queue.popleft())
        return jobs

    def _submit(self, server: str, jobs: Sequence[_Job], on_end: OnEnd) -> bool:
        tasks = {job.number: task for job in jobs if (task := self._task(job, on_end)) is not None}
        jobs = [job for job in jobs if job.number in tasks]
        if not jobs:
            return False
        if self._look is not None and len(jobs) > 1:
            future = self._pool.submit(self._look, [tasks[job.number] for job in jobs])
        else:
            jobs[0].attempts += 1
            future = self._pool.submit(self._work, tasks[jobs[0].number])
        self._running[future] = jobs
        self._busy[server] += 1
        return True

    def _task(self, job: _Job, on_end: OnEnd) -> Task | None:
        """Returns what a worker is told; None if that cannot be had, which is the failure of this target alone."""
        try:
            return self._task_of(job.placed)
        except BootstrapperError as error:
            said = "\n".join(error_lines(error, str))
            result = Result(job.placed.target.name, "failed", int(error.exit_code), 0.0, message=said)
            on_end(job.placed, result, 1)
            return None

    def _take(self, on_end: OnEnd) -> None:
        """Waits for the next results, or for a target whose pause is over."""
        if not self._running:
            time.sleep(max(0.0, min(_TICK_SECONDS, self._paused[0].ready_at - time.monotonic())))
            return
        ended, _ = wait(self._running, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED)
        for future in ended:
            jobs = self._running.pop(future)
            self._busy[jobs[0].placed.server] -= 1
            if len(jobs) > 1:
                self._take_looks(jobs, future, on_end)
                continue
            job, result = jobs[0], _result(jobs[0], future)
            if result is None:
                job.attempts -= 1
                self._pause(job, random.uniform(0.5, 1.0) * _BUSY_SECONDS)  # noqa: S311 - jitter
            elif result.is_retryable and job.attempts <= self._limits.retry:
                self._pause(job, _pause_seconds(job.attempts))
            else:
                on_end(job.placed, result, job.attempts)

    def _pause(self, job: _Job, seconds: float) -> None:
        job.ready_at = time.monotonic() + seconds
        heapq.heappush(self._paused, job)

    def _take_looks(self, jobs: Sequence[_Job], future: Future[Any], on_end: OnEnd) -> None:
        """Passes on the targets with nothing to do; the others, and all of a lost worker, are next."""
        looks: Sequence[Result | None] | None = [None] * len(jobs) if _error(future) else future.result()
        if looks is None:
            for job in jobs:
                self._pause(job, _BUSY_SECONDS)
            return
        for job, result in zip(reversed(jobs), reversed(looks), strict=True):
            if result is not None:
                on_end(job.placed, result, 1)
            else:
                job.is_looked_at = True
                self._put(job, first=True)


def _error(future: Future[Any]) -> BaseException | None:
    """Returns what a call ended with, also one that the pool gave up with its worker."""
    try:
        return future.exception()
    except CancelledError as cancelled:
        return cancelled


def _result(job: _Job, future: Future[Any]) -> Result | None:
    """Returns the result. Work never raises: what comes instead is the end of its worker, or never reached one."""
    error = _error(future)
    if error is None:
        found: Result | None = future.result()
        return found
    name, lost = job.placed.target.name, death(error)
    if lost is not None:
        return Result(name, "failed", int(ExitCode.UNREACHABLE), 0.0, message=one_line(lost))
    said = f"its worker cannot do it: {one_line(f'{type(error).__name__}: {error}')}"
    hint = "hint: Give all workers the same versions of bootstrapper and Dask."
    return Result(name, "failed", int(ExitCode.CONFIG), 0.0, message=f"{said}\n{hint}")


def _pause_seconds(attempts: int) -> float:
    longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempts)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter
