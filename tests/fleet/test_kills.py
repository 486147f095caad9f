"""Tests of a fleet whose workers, coordinator or server are killed: each target is done exactly once all the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.fleet.campaign import FAULTS, Running, servers, simulated, targets_of, trial
from tests.fleet.tenants import Fleet


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


def test_the_memory_of_the_coordinator_does_not_grow_with_the_targets(tmp_path: Path) -> None:
    done = simulated(tmp_path, 10_000, "shard")
    assert done["outcomes"] == {"unchanged": 9900, "failed": 100}
    assert done["shown"] == 20
    assert float(str(done["peak_mib"])) < 200
