"""Tests of what does targets: parts without Dask, and a cluster that runs already; test_kills.py has the others."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

import pytest

from bootstrapper.engine.request import Request
from bootstrapper.errors import UnreachableError
from bootstrapper.fleet import clusters, coordinator
from bootstrapper.fleet.asked import Asked
from bootstrapper.fleet.clusters import connected_pool
from bootstrapper.fleet.outcomes import Summary, Watcher
from bootstrapper.fleet.pools import death
from bootstrapper.fleet.work import Result, Task
from tests.fleet import stubs
from tests.fleet.clusters import cluster
from tests.fleet.tenants import Fleet
from tests.servers import Server, free_port
from tests.waiting import at_most


@pytest.mark.usefixtures("in_process")
def test_databases_are_done_without_dask_in_two_parts(
    tmp_path: Path, server: Server, new_database: Callable[[], str]
) -> None:
    urls = [new_database() for _ in range(3)]
    fleet = Fleet(tmp_path, server.url())
    fleet.declare(url="${target.url}")
    fleet.list([{"name": url.rpartition("/")[2], "url": url, "schema": "own"} for url in urls])
    for part in ("0/2", "1/2"):
        done = fleet.run("fleet", "apply", "--shard", part, "--report", f"{part[0]}.jsonl")
        assert done.returncode == 0, done.stderr
    first, second = fleet.results("0.jsonl"), fleet.results("1.jsonl")
    assert not first.keys() & second.keys()
    assert len(first) + len(second) == 3
    assert [fleet.notes("own", url) for url in urls] == [[(1, f"note of {url.rpartition('/')[2]}")] for url in urls]
    assert "correct horse" not in (fleet.folder / "0.jsonl").read_text()


def test_a_cluster_that_runs_already(fleet: Fleet) -> None:
    """In one test, since three processes have to start.

    It does real targets; keeps within a limit that two coordinators share; leaves it to the file how often the target
    of a worker that died is tried; does not wait for a result that is lost with its worker; and a scheduler that is
    lost is unreachable.
    """
    with cluster(fleet, workers=2, threads=3) as dask, ThreadPoolExecutor(2) as threads:

        def begin(work: Callable[[Task], Result]) -> Future[Summary]:
            request = Request(file=fleet.folder / "bootstrap.yaml", variables=fleet.variables())
            asked = Asked(request=request, scheduler=dask.address)
            return threads.submit(coordinator.apply, asked, Watcher(), work, look=None)

        fleet.declare("per_server: 2\nretry: 0")
        fleet.list_schemas(4)
        done = fleet.run("fleet", "apply", "--scheduler", dask.address, "--report", "report.jsonl")
        assert done.returncode == 0, done.stderr
        assert [fleet.notes(f"t{n}") for n in range(4)] == [[(1, f"note of tenant-{n}")] for n in range(4)]

        fleet.list_schemas(10)
        runs = [begin(stubs.slow), begin(stubs.slow)]
        assert [run.result(at_most(60)).outcomes for run in runs] == [{"unchanged": 10}, {"unchanged": 10}]
        assert most_at_once(stubs.noted(fleet.folder)) == 2

        fleet.list_schemas(1)
        (failure,) = begin(stubs.dying).result(at_most(60)).failures
        assert (failure.exit_code, str(failure.message)[:27]) == (5, "its worker tcp://127.0.0.1:")
        assert stubs.noted(fleet.folder)[40:] == ["began"], "Dask would start it again on the other worker"

        with connected_pool(None, dask.address) as pool:
            error = pool.submit(stubs.lost, None).exception(at_most(60))
            assert error is not None
            assert death(error) == "its worker was lost"
            dask.scheduler.kill()
            until = time.monotonic() + at_most(60)
            with pytest.raises(UnreachableError, match="the scheduler of Dask cannot be reached"):
                while time.monotonic() < until:
                    pool.submit(abs, -1)
                    time.sleep(0.05)


def most_at_once(noted: list[str]) -> int:
    return max(accumulate(1 if what == "began" else -1 for what in noted))


def test_a_scheduler_that_does_not_answer_is_unreachable(unconnected: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "_CONNECT_SECONDS", "200ms")
    unconnected.list_schemas(1)
    done = unconnected.run("fleet", "apply", "--scheduler", f"tcp://127.0.0.1:{free_port()}")
    assert done.returncode == 5, done.stderr
    assert "error: the scheduler tcp://127.0.0.1:" in done.stderr


def test_an_interruption_that_ends_the_process_leaves_no_warning_behind() -> None:
    program = """if __name__ == "__main__":
        import os
        from bootstrapper.fleet.pools import LocalPool
        LocalPool(1).submit(abs, -1).result()
        os._exit(130)"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")
