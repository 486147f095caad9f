"""Connections that end, swallow or lose answers: nothing is done twice, or told as done when it was not."""

from __future__ import annotations

import random

import pytest

from tests.faults import scenarios
from tests.faults.proxy import TO_CLIENT, TO_SERVER, Blackhole, Cut, LostCommit
from tests.faults.trials import Site

TENTHS = [1, 3, 5, 7, 9]


@pytest.mark.parametrize("nth", range(1, 25, 2))
def test_a_lost_answer_to_commit_is_not_taken_for_either(site: Site, nth: int) -> None:
    assert nth <= site.traffic("full").commits
    assert scenarios.network_fault(site.trial("full"), LostCommit(nth)) == []


@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
@pytest.mark.parametrize("tenth", TENTHS)
def test_a_connection_cut_after_any_byte_leaves_nothing_half(site: Site, direction: str, tenth: int) -> None:
    after = site.traffic("full").bytes[direction] * tenth // 10
    assert scenarios.network_fault(site.trial("full"), Cut(direction, after)) == []


@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
@pytest.mark.parametrize("tenth", [0, 2, 5, 9])
def test_the_deadline_holds_when_the_network_swallows_everything(site: Site, direction: str, tenth: int) -> None:
    after = site.traffic("full").bytes[direction] * tenth // 10
    assert scenarios.network_fault(site.trial("full"), Blackhole(direction, after), timeout_seconds=3) == []


@pytest.mark.parametrize("seed", range(4))
def test_terminated_backends_leave_nothing_half(site: Site, seed: int) -> None:
    trial = site.trial("full")
    assert scenarios.terminate_at_random(trial, random.Random(seed), times=3, longest=0.4) == []
