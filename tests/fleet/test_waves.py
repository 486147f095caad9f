"""Tests of waves, shards and the budget."""

from __future__ import annotations

from fractions import Fraction

import pytest

from bootstrapper.config.fleet import WaveConfig
from bootstrapper.fleet.places import Placed
from bootstrapper.fleet.targets import Target
from bootstrapper.fleet.waves import divided, in_shard, tolerated

TARGETS = [
    Placed(Target(f"t{number}", {"name": f"t{number}", "tier": "gold" if number % 3 == 0 else "free"}), "server")
    for number in range(10)
]


def names(*waves: WaveConfig) -> dict[str, str]:
    return {wave.name: " ".join(each.target.name[1:] for each in wave.targets) for wave in divided(TARGETS, waves)}


def test_without_waves_there_is_one() -> None:
    assert names() == {"rest": "0 1 2 3 4 5 6 7 8 9"}


def test_a_target_belongs_to_the_first_wave_that_takes_it() -> None:
    waves = (
        WaveConfig(name="canary", where={"name": ["t4", "t0"]}),
        WaveConfig(name="gold", where={"tier": "gold"}),
        WaveConfig(name="few", first=2),
        WaveConfig(name="share", share="15%"),
    )
    assert names(*waves) == {"canary": "0 4", "gold": "3 6 9", "few": "1 2", "share": "5 7", "rest": "8"}


def test_a_wave_without_targets_is_left_out_and_one_may_take_all_the_rest() -> None:
    waves = (WaveConfig(name="none", where={"tier": "silver"}), WaveConfig(name="all"))
    assert list(names(*waves)) == ["all"]


@pytest.mark.parametrize(("budget", "number"), [(0, 0), (3, 3), (Fraction(1, 10), 1), (Fraction(1, 100), 0)])
def test_a_budget_is_a_number_or_a_share_rounded_down(budget: int | Fraction, number: int) -> None:
    assert tolerated(budget, 19) == number


def test_each_target_is_in_one_shard_whatever_else_is_listed() -> None:
    shards = [{name for name in map(str, range(200)) if in_shard(name, (number, 3))} for number in range(3)]
    assert sum(map(len, shards)) == 200
    assert set.union(*shards) == set(map(str, range(200)))
    assert min(map(len, shards)) > 40
