"""Tests of how targets are given to a pool: limits, further attempts, and the end when nothing more may start."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from bootstrapper.errors import GuardError
from bootstrapper.fleet import dispatch
from bootstrapper.fleet.dispatch import Dispatch, Limits, Look
from bootstrapper.fleet.places import Placed
from bootstrapper.fleet.targets import Target
from bootstrapper.fleet.work import Result, Task
from tests.waiting import at_most


@dataclass
class Threads:
    """A pool of threads, in place of processes."""

    size: int
    executor: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16))

    def submit(self, function: Callable[[Any], Any], task: object, /) -> Future[Any]:
        return self.executor.submit(function, task)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_FIRST_PAUSE_SECONDS", 0.01)


def targets(number: int, servers: int = 1) -> list[Placed]:
    return [Placed(Target(str(each), {"name": str(each)}), f"server-{each % servers}") for each in range(number)]


def task_of(each: Placed) -> Task:
    return Task("file", None, each.target.name, {"server": each.server})


def run(
    work: Callable[[Task], Result],
    placed: list[Placed],
    limits: Limits,
    most_failed: int = 1000,
    look: Look | None = None,
    make: Callable[[Placed], Task] = task_of,
) -> tuple[dict[str, tuple[Result, int]], int]:
    ended: dict[str, tuple[Result, int]] = {}

    def on_end(each: Placed, result: Result, attempts: int) -> None:
        assert each.target.name not in ended
        ended[each.target.name] = (result, attempts)

    def may_start() -> bool:
        return sum(result.exit_code != 0 for result, _ in ended.values()) <= most_failed

    left = Dispatch(Threads(limits.parallel), work, make, limits, look).run(placed, may_start=may_start, on_end=on_end)
    return ended, left


def result(task: Task, code: int = 0) -> Result:
    return Result(task.target, "failed" if code else "done", code, 0.0)


def test_no_server_gets_more_than_its_share_and_all_targets_are_done_once() -> None:
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    lock, both = threading.Lock(), threading.Barrier(4)

    def work(task: Task) -> Result:
        server = task.variables["server"]
        with lock:
            running[server] += 1
            running["all"] += 1
            for name in (server, "all"):
                most[name] = max(most[name], running[name])
        both.wait(at_most(20))  # two of each of two servers at once
        with lock:
            running[server] -= 1
            running["all"] -= 1
        return result(task)

    ended, left = run(work, targets(20, servers=2), Limits(parallel=8, per_server=2, retry=0))
    assert (len(ended), left) == (20, 0)
    assert most == {"server-0": 2, "server-1": 2, "all": 4}


@pytest.mark.parametrize(("code", "attempts"), [(5, 3), (7, 3), (1, 1), (2, 1), (6, 1), (8, 1), (9, 1), (10, 1)])
def test_only_what_is_retryable_is_tried_again(code: int, attempts: int) -> None:
    ended, _ = run(lambda task: result(task, code), targets(1), Limits(parallel=1, per_server=None, retry=2))
    assert ended["0"] == (result(Task("", None, "0", {}), code), attempts)


def test_another_attempt_may_succeed() -> None:
    tries: Counter[str] = Counter()

    def work(task: Task) -> Result:
        tries[task.target] += 1
        return result(task, 5 if tries[task.target] < 3 else 0)

    ended, _ = run(work, targets(5), Limits(parallel=2, per_server=1, retry=2))
    assert {attempts for found, attempts in ended.values() if found.exit_code == 0} == {3}


@pytest.mark.parametrize(
    ("error", "code", "attempts", "said"),
    [
        (BrokenExecutor("killed"), 5, 2, "its worker died"),
        (CancelledError(), 5, 2, "its worker was lost"),
        (OSError("closed"), 5, 2, "the connection to its worker was lost: closed"),
        (ModuleNotFoundError("no bootstrapper"), 2, 1, "its worker cannot do it: ModuleNotFoundError: no bootstrapper"),
    ],
)
def test_a_lost_worker_is_retryable_and_one_that_cannot_work_is_not(
    error: Exception, code: int, attempts: int, said: str
) -> None:
    def work(task: Task) -> Result:
        raise error

    ended, _ = run(work, targets(1), Limits(parallel=1, per_server=None, retry=1))
    found, tries = ended["0"]
    assert (found.exit_code, tries, found.headline) == (code, attempts, said)


def test_a_target_whose_task_cannot_be_made_fails_alone_and_counts() -> None:
    def task(each: Placed) -> Task:
        if int(each.target.name) % 2:
            raise GuardError("the plan was changed")
        return task_of(each)

    ended, left = run(result, targets(5), Limits(parallel=2, per_server=None, retry=1), make=task)
    assert {name: found.exit_code for name, (found, _) in ended.items()} == {"0": 0, "1": 9, "2": 0, "3": 9, "4": 0}
    ended, left = run(result, targets(9), Limits(parallel=2, per_server=None, retry=1), most_failed=0, make=task)
    assert (sum(found.exit_code for found, _ in ended.values()), left) == (9, 9 - len(ended))


def test_over_the_budget_nothing_more_is_started_and_what_runs_is_finished() -> None:
    begun, release = threading.Semaphore(0), threading.Event()

    def work(task: Task) -> Result:
        begun.release()
        if task.target == "0":
            for _ in range(3):
                begun.acquire(timeout=at_most(20))
            release.set()
            return result(task, 1)
        release.wait(at_most(20))
        return result(task)

    ended, left = run(work, targets(10), Limits(parallel=3, per_server=None, retry=3), most_failed=0)
    assert 3 <= len(ended) <= 5, "those that ran with it, and those that were started before its end was seen"
    assert len(ended) + left == 10
    assert [name for name, (found, _) in ended.items() if found.exit_code] == ["0"]


def test_many_targets_are_looked_at_together_and_only_those_that_need_it_are_worked_at() -> None:
    sizes: list[int] = []
    worked: list[str] = []

    def look(tasks: Sequence[Task]) -> list[Result | None]:
        sizes.append(len(tasks))
        return [None if int(task.target) % 10 == 0 else Result(task.target, "unchanged", 0, 0.0) for task in tasks]

    def work(task: Task) -> Result:
        worked.append(task.target)
        return result(task)

    ended, left = run(work, targets(100, servers=2), Limits(parallel=2, per_server=None, retry=0), look=look)
    assert (len(ended), left) == (100, 0)
    assert [found.outcome for found, _ in ended.values()].count("unchanged") > 70
    assert len(worked) == len(set(worked)) < 30
    assert {str(number) for number in range(0, 100, 10)} <= set(worked)
    assert 8 < max(sizes) <= 16


def test_targets_whose_look_was_lost_with_its_worker_are_worked_at() -> None:
    def look(tasks: Sequence[Task]) -> list[Result | None]:
        raise OSError("worker killed")

    ended, _ = run(result, targets(40), Limits(parallel=2, per_server=1, retry=0), look=look)
    assert [found.outcome for found, _ in ended.values()] == ["done"] * 40
