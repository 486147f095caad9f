"""Tests of a fleet whose workers, coordinator or server are killed: each target is done exactly once all the same."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrapper.fleet.clusters import dask_pool
from bootstrapper.fleet.pools import Pool
from tests.fleet.campaign import simulated, trial
from tests.fleet.clusters import cluster
from tests.fleet.scene import FAULTS, Running, Scene, servers, targets_of
from tests.fleet.stubs import looked_at
from tests.fleet.tenants import Fleet
from tests.servers import Server
from tests.waiting import at_most

pytestmark = pytest.mark.long

SHARD = ("--shard", "0/1")
IN_EACH_WAVE = [1, 3, 6]  # of eight targets: two, then four, then two
OPTIONS: dict[str, dict[str, Sequence[str]]] = {
    "workers": {},
    "coordinator": {"again": SHARD},  # first that of a cluster
    "server": {"first": SHARD, "again": SHARD},
}


@dataclass(frozen=True)
class Steady:
    """A server that stays."""

    server: Server


@pytest.fixture(scope="module")
def mortal() -> Iterator[Running]:
    with servers(1) as (found,):
        yield found


@pytest.fixture
def fleet(tmp_path: Path, server: Server, mortal: Running) -> Iterator[Fleet]:
    """A project without targets yet; the databases that its targets get are dropped."""
    yield Fleet(tmp_path, server.url())
    for each in (server, mortal.server):
        for (made,) in each.execute("SELECT datname FROM pg_database WHERE datname LIKE 'tenant%'"):
            each.execute(f'DROP DATABASE "{made}" WITH (FORCE)')


@pytest.mark.usefixtures("in_process")  # of the last run, which looks at what the others left
@pytest.mark.parametrize("fault", FAULTS)
def test_each_target_is_done_exactly_once_whatever_is_killed(
    fault: str, fleet: Fleet, server: Server, mortal: Running
) -> None:
    targets = targets_of([Steady(server), mortal], 4, 4)
    faults = [(at, fault) for at in IN_EACH_WAVE]
    trial(Scene(fleet, [mortal], **OPTIONS[fault]), targets, faults, canaries=2, parallel=2)


@pytest.mark.usefixtures("in_process")
def test_a_cluster_that_runs_already_does_each_target_exactly_once_whatever_is_killed(
    fleet: Fleet, server: Server, mortal: Running
) -> None:
    targets = targets_of([Steady(server), mortal], 4, 4)
    with cluster(fleet, workers=2, replaces=True) as dask:
        faults = list(zip(IN_EACH_WAVE, FAULTS, strict=True))
        ended = trial(Scene(fleet, [mortal], dask), targets, faults, canaries=2, parallel=2)
    assert ended.runs > 1


def test_a_worker_that_is_started_again_has_the_settings_of_the_first() -> None:
    with dask_pool(1, dashboard=False) as pool:
        first, *settings = pool.submit(looked_at, None).result(at_most(60))
        assert settings == [False, True]
        os.kill(first, signal.SIGKILL)
        second, *settings = eventually_looked_at(pool)
        assert second != first
        assert settings == [False, True]


def eventually_looked_at(pool: Pool) -> tuple[int, bool, bool]:
    """Asks again while the worker that was killed is not known to be gone."""
    until = time.monotonic() + at_most(60)
    while True:
        asked = pool.submit(looked_at, None)
        if asked.exception(at_most(60)) is None or time.monotonic() > until:
            found: tuple[int, bool, bool] = asked.result()
            return found


def test_the_memory_of_the_coordinator_does_not_grow_with_the_targets(tmp_path: Path) -> None:
    done = simulated(tmp_path, 10_000, "alone")
    assert done["outcomes"] == {"unchanged": 9900, "failed": 100}
    assert done["shown"] == 20
    assert float(str(done["peak_mib"])) < 200
