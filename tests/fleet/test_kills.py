"""Tests of a fleet whose workers, coordinator or server are killed: each target is done exactly once all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fleet.campaign import (
    Running,
    Trial,
    carry_out,
    kill_coordinator,
    kill_workers,
    restart_server,
    servers,
    simulated,
    targets_of,
)
from tests.fleet.tenants import Fleet
from tests.servers import Server

SHARD = ("--shard", "0/1")
IN_EACH_WAVE = [1, 3, 7]  # of eight targets: two, then four, then two
TRIALS = {
    "workers of a cluster": Trial(kill_workers, IN_EACH_WAVE, parallel=2),
    "the coordinator, first that of a cluster": Trial(kill_coordinator, IN_EACH_WAVE, parallel=2, again=SHARD),
    "a server": Trial(restart_server, IN_EACH_WAVE, parallel=2, first=SHARD, again=SHARD),
}


@dataclass(frozen=True)
class Steady:
    """A server that stays."""

    server: Server


@pytest.fixture(scope="module")
def mortal() -> Iterator[Running]:
    with servers(1) as (found,):
        yield found


@pytest.mark.usefixtures("in_process")  # of the last run, which looks at what the others left
@pytest.mark.parametrize("name", TRIALS)
def test_each_target_is_done_exactly_once_whatever_is_killed(
    name: str, tmp_path: Path, server: Server, mortal: Running
) -> None:
    fleet = Fleet(tmp_path, server.url())
    targets = targets_of([Steady(server), mortal], 4, 4)
    try:
        carry_out(TRIALS[name], fleet, targets, [mortal])
    finally:
        for each in (server, mortal.server):
            for (made,) in each.execute("SELECT datname FROM pg_database WHERE datname LIKE 'tenant%'"):
                each.execute(f'DROP DATABASE "{made}" WITH (FORCE)')


def test_the_memory_of_the_coordinator_does_not_grow_with_the_targets(tmp_path: Path) -> None:
    done = simulated(tmp_path, 10_000, "alone")
    assert done["outcomes"] == {"unchanged": 9900, "failed": 100}
    assert done["shown"] == 20
    assert float(str(done["peak_mib"])) < 200
