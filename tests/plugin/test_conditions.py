"""Three-valued logic, over every pair of answers."""

from __future__ import annotations

import itertools
from typing import cast

import pytest

from bootstrapper.plans import Answer, Verdict
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.conditions import All, AnyOf, Condition, Leaf, Not

YES, NO, UNKNOWN = Verdict.YES, Verdict.NO, Verdict.UNKNOWN
RANK = {NO: 0, UNKNOWN: 1, YES: 2}


class Fixed:
    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict


def leaf(verdict: Verdict) -> Leaf:
    return Leaf(cast(Check, Fixed(verdict)), verdict.value)


def verdict_of(condition: Condition) -> Verdict:
    return condition.evaluate(lambda check: Answer(cast(Fixed, check).verdict)).verdict


@pytest.mark.parametrize(("left", "right"), list(itertools.product(Verdict, Verdict)))
def test_all_is_the_least_and_any_the_greatest_of_its_parts(left: Verdict, right: Verdict) -> None:
    parts = (leaf(left), leaf(right))
    assert verdict_of(All(parts)) is min(left, right, key=RANK.__getitem__)
    assert verdict_of(AnyOf(parts)) is max(left, right, key=RANK.__getitem__)


@pytest.mark.parametrize(("verdict", "opposite"), [(YES, NO), (NO, YES), (UNKNOWN, UNKNOWN)])
def test_not_keeps_what_is_unknown(verdict: Verdict, opposite: Verdict) -> None:
    assert verdict_of(Not(leaf(verdict))) is opposite


def test_all_asks_no_further_than_the_first_no() -> None:
    asked = []

    def ask(check: Check) -> Answer:
        asked.append(cast(Fixed, check).verdict)
        return Answer(cast(Fixed, check).verdict)

    All((leaf(NO), leaf(YES))).evaluate(ask)
    assert asked == [NO]


def test_the_reason_of_the_deciding_part_is_the_reason_of_the_whole() -> None:
    def ask(check: Check) -> Answer:
        verdict = cast(Fixed, check).verdict
        return Answer(verdict, f"because {verdict}")

    assert All((leaf(YES), leaf(NO), leaf(UNKNOWN))).evaluate(ask).reason == "because no"
    assert AnyOf((leaf(NO), leaf(UNKNOWN))).evaluate(ask).reason == "because unknown"
