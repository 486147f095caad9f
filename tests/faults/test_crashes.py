"""kill -9 at every boundary of a run: after one clean run all is as if nothing had happened."""

from __future__ import annotations

import random

import pytest

from tests.faults import scenarios
from tests.faults.trials import Site
from tests.faults.workload import WORKER_PLACES

SHARDS = 6
# One of so many boundaries is tried here, another one for each shard; the long form tries them all.
STRIDE = 3 * SHARDS
# A run takes a few exchanges more or less from one time to the next: the last places of one may lie past another's end.
LEEWAY = 10


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_run_killed_between_two_exchanges_is_completed_by_the_next(site: Site, shard: int) -> None:
    places = [place for place in site.places("quick") if place.startswith("before")]
    wrong = {}
    for place in places[shard * 3 :: STRIDE]:
        trial = site.trial("quick")
        found = scenarios.crash(trial, place)
        trial.drop()
        is_past_the_end = place in places[-LEEWAY:] and found == [f"it never came to {place}: 0 "]
        if found and not is_past_the_end:
            wrong[place] = found
    assert not wrong


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_run_killed_at_an_event_is_completed_by_the_next(site: Site, shard: int) -> None:
    events = [place for place in site.places("full") if not place.startswith(("before", "after"))]
    wrong = {}
    for place in events[shard::SHARDS]:
        trial = site.trial("full")
        found = scenarios.crash(trial, place)
        trial.drop()
        if found:
            wrong[place] = found
    assert not wrong


@pytest.mark.parametrize("place", WORKER_PLACES)
def test_a_death_inside_a_migration_leaves_nothing_half(site: Site, place: str) -> None:
    whom = "run" if WORKER_PLACES.index(place) % 2 else "worker"
    trial = site.trial("full")
    assert scenarios.crash_in_worker(trial, place, whom) == []
    trial.drop()


@pytest.mark.parametrize("seed", range(2))
def test_a_run_killed_again_and_again_is_completed_by_the_next(site: Site, seed: int) -> None:
    trial = site.trial("full")
    assert scenarios.crash_at_random(trial, random.Random(seed), times=4, longest=0.8) == []
    trial.drop()
