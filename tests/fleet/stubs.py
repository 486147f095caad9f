"""Work that stands in for a run, where what is measured is the coordinator alone."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from bootstrapper.engine.request import Request
from bootstrapper.fleet import coordinator
from bootstrapper.fleet.asked import Asked
from bootstrapper.fleet.outcomes import Watcher
from bootstrapper.fleet.work import Result, Task


class InProcess:
    """A pool of this process alone."""

    size = 1

    def submit(self, function: Callable[[Any], Any], task: object, /) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(task))
        return done


@contextmanager
def in_process(size: int) -> Iterator[InProcess]:
    yield InProcess()


def nothing(task: Task) -> Result:
    """Succeeds, but for one target in a hundred, whose message is long."""
    if task.target.endswith("99"):
        return Result(task.target, "failed", 1, 0.0, message="x" * 2000)
    return Result(task.target, "unchanged", 0, 0.0)


def dying(task: Task) -> Result:
    """Notes that it began, and kills its process."""
    _note(task, "began")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")


def slow(task: Task) -> Result:
    """Notes when it begins and ends."""
    _note(task, "began")
    time.sleep(0.1)
    _note(task, "ended")
    return Result(task.target, "unchanged", 0, 0.1)


def noted(folder: Path) -> list[str]:
    """Returns what was noted, in order."""
    return (folder / "noted").read_text().splitlines()


def _note(task: Task, what: str) -> None:
    with Path(task.file).with_name("noted").open("a") as file:
        file.write(f"{what}\n")


def looked_at(_: object) -> tuple[int, bool, bool]:
    """Returns the process of a worker of Dask, and whether it profiles itself and ignores SIGINT."""
    from distributed import get_worker

    is_deaf = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    return os.getpid(), "profile" in get_worker().periodic_callbacks, is_deaf


class DiesWhenFetched:
    """A result whose worker dies after the call has ended, and before anyone has the result."""

    def __reduce__(self) -> NoReturn:
        os._exit(1)


def lost(_: object) -> DiesWhenFetched:
    return DiesWhenFetched()


def main() -> None:
    """Does the targets of a file by `nothing`, and prints the outcomes and the peak memory in MiB."""
    file, way = Path(sys.argv[1]), sys.argv[2]
    shard = None if way == "dask" else (0, 1)
    if way == "alone":
        coordinator.local_pool = in_process  # type: ignore[assignment]
    asked = Asked(request=Request(file=file), shard=shard, report=file.parent / "report.jsonl", overwrite=True)
    done = coordinator.apply(asked, Watcher(), nothing, look=None)
    status = Path("/proc/self/status").read_text()  # getrusage counts what the parent held when it started this, too
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    sys.stdout.write(
        json.dumps({"outcomes": done.outcomes, "shown": len(done.failures), "peak_mib": peak, "s": done.seconds})
    )


if __name__ == "__main__":
    main()
