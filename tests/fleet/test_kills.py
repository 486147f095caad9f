"""Tests of a fleet whose workers, coordinator or server are killed: each target is done exactly once all the same."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bootstrapper.errors import UnreachableError
from bootstrapper.fleet.pools import connected_pool
from tests.fleet.campaign import FAULTS, Running, declare, servers, simulated, targets_of, trial, verify
from tests.fleet.tenants import Fleet
from tests.servers import free_port
from tests.waiting import at_most


@pytest.fixture(scope="module")
def two_servers() -> Iterator[Sequence[Running]]:
    with servers(2) as found:
        yield found


@pytest.fixture
def fleet(tmp_path: Path, two_servers: Sequence[Running]) -> Iterator[Fleet]:
    """A project without targets yet; the databases that its targets get are dropped."""
    yield Fleet(tmp_path, two_servers[0].server.url())
    for each in two_servers:
        named = "SELECT datname FROM pg_database WHERE datname LIKE 'tenant%'"
        for (name,) in each.server.execute(named):
            each.server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.parametrize("fault", FAULTS)
def test_each_target_is_done_exactly_once_whatever_is_killed(
    fault: str, fleet: Fleet, two_servers: Sequence[Running]
) -> None:
    trial(fleet, targets_of(two_servers, 10, 6), two_servers, FAULTS[fault], at=[2, 7, 12])


def test_a_scheduler_and_workers_of_dask_that_run_already_do_the_work(
    fleet: Fleet, two_servers: Sequence[Running]
) -> None:
    targets = targets_of(two_servers, 6, 2)
    declare(fleet, targets)
    address = f"tcp://127.0.0.1:{free_port()}"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", address, "--no-dashboard", "--no-jupyter"]
    worker = [*dask, "worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
    settings = {"env": fleet.variables(), "cwd": fleet.folder, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(scheduler, **settings) as first, subprocess.Popen(worker, **settings) as second:  # type: ignore[call-overload]
        try:
            waits = (
                "import sys; from distributed import Client\n"
                "with Client(sys.argv[1], timeout='60s') as client: client.wait_for_workers(2, timeout=60)"
            )
            subprocess.run([sys.executable, "-c", waits, address], check=True, timeout=at_most(90))
            done = fleet.spawn("fleet", "apply", "--scheduler", address, "--report", "report.jsonl")
            assert done.returncode == 0, done.stderr
        finally:
            for process in (second, first):
                process.terminate()
    verify(fleet, targets)


def test_a_scheduler_that_is_gone_is_unreachable(tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", address, "--no-dashboard", "--no-jupyter"]
    worker = [*dask, "worker", address, "--nthreads", "1", "--no-dashboard"]
    with (
        subprocess.Popen(scheduler, cwd=tmp_path, stderr=subprocess.DEVNULL) as first,
        subprocess.Popen(worker, cwd=tmp_path, stderr=subprocess.DEVNULL) as second,
    ):
        try:
            waits = (
                "import sys; from distributed import Client\n"
                "with Client(sys.argv[1], timeout='60s') as client: client.wait_for_workers(1, timeout=60)"
            )
            subprocess.run([sys.executable, "-c", waits, address], check=True, timeout=at_most(90))
            with connected_pool(None, address) as pool:
                assert pool.submit(abs, -1).result(timeout=at_most(60)) == 1
                first.kill()
                until = time.monotonic() + at_most(60)
                with pytest.raises(UnreachableError, match="the scheduler of Dask cannot be reached"):
                    while time.monotonic() < until:
                        pool.submit(abs, -1)
                        time.sleep(0.2)
        finally:
            for process in (second, first):
                process.kill()


def test_a_scheduler_that_does_not_answer_is_unreachable(fleet: Fleet, two_servers: Sequence[Running]) -> None:
    declare(fleet, targets_of(two_servers, 1, 0))
    done = fleet.spawn("fleet", "apply", "--scheduler", f"tcp://127.0.0.1:{free_port()}")
    assert done.returncode == 5, done.stderr
    assert "error: the scheduler tcp://127.0.0.1:" in done.stderr


def test_the_memory_of_the_coordinator_does_not_grow_with_the_targets(tmp_path: Path) -> None:
    done = simulated(tmp_path, 10_000, "shard")
    assert done["outcomes"] == {"unchanged": 9900, "failed": 100}
    assert done["shown"] == 20
    assert float(str(done["peak_mib"])) < 200
