from __future__ import annotations

from dataclasses import replace

import pytest

from bootstrapper.plans import Action, Answer, Change, DatabaseIdentity, Deferred, Plan, PlannedStep, State, payload_of

pytestmark = pytest.mark.smoke

CHANGE = Change.create("users admin", reason="no such row", after={"email": "a@b.c", "age": None})
DEFERRED = Deferred("table users", "does not exist yet", frozenset({Action.CREATE, Action.UPDATE}), 2, ("PASSWORD",))
PLAN = Plan(
    name="sample",
    environment="development",
    inputs="0" * 64,
    database=DatabaseIdentity("localhost:5432", "app", "18.6", "7123", 16384),
    serial=3,
    steps=(
        PlannedStep("wait", "wait", State.DONE),
        PlannedStep("seed", "seed", State.PENDING, check=Answer.no("0 of 1"), changes=(CHANGE,)),
        PlannedStep("late", "seed", State.DEFERRED, when=Answer.unknown("no table"), deferred=(DEFERRED,)),
    ),
    heads=("001_initial",),
)


def test_a_plan_survives_the_way_through_json() -> None:
    assert Plan.from_json(PLAN.to_json()) == PLAN


def test_the_payload_of_a_change_is_not_shown_and_not_serialised() -> None:
    loaded = Change.create("users admin", reason="no such row", after={"email": "a@b.c", "age": None}, payload=object())
    plan = replace(PLAN, steps=(replace(PLAN.steps[1], changes=(loaded,)),))
    assert "payload" not in plan.to_json() + repr(plan)
    assert Plan.from_json(plan.to_json()) == plan


def test_only_steps_with_changes_are_pending() -> None:
    assert [step.name for step in PLAN.pending] == ["seed", "late"]


def test_unset_variables_of_all_steps_are_named_once() -> None:
    assert PLAN.unset == ("PASSWORD",)


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"format_version": 99}', '{"format_version": 1}', '{"format_version": 1, "steps": 3}', "null"],
)
def test_other_json_than_a_plan_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="plan"):
        Plan.from_json(text)


def test_a_change_without_what_apply_needs_is_refused() -> None:
    assert payload_of(Change.run("x", payload="text"), str) == "text"
    with pytest.raises(TypeError, match="does not carry"):
        payload_of(Change.run("x"), str)
