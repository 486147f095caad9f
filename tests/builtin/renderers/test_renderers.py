"""What a plan looks like; UPDATE_GOLDEN=1 rewrites the golden files, to be reviewed like code."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrapper.builtin.renderers import wording
from bootstrapper.builtin.renderers.json import JSONRenderer
from bootstrapper.builtin.renderers.markdown import MarkdownRenderer
from bootstrapper.builtin.renderers.text import TextRenderer
from bootstrapper.plans import (
    Action,
    Change,
    Deferred,
    Finding,
    Hazard,
    HazardName,
    Plan,
    PlannedStep,
    State,
)
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.testing.sample_plans import EVERY_ACTION, FIRST_RUN, HOSTILE, MANY_ROWS, NOTHING_TO_DO, PLANS, plan

GOLDEN = Path(__file__).parent / "golden"
RENDERERS = {"text": (TextRenderer(), "txt"), "markdown": (MarkdownRenderer(), "md")}


@pytest.mark.parametrize("format_name", RENDERERS)
@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_rendered_as_its_golden_file_says(name: str, format_name: str) -> None:
    renderer, ending = RENDERERS[format_name]
    golden = GOLDEN / f"{name}.{ending}"
    rendered = renderer.plan(PLANS[name]) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(rendered, encoding="utf-8")
    assert rendered == golden.read_text(encoding="utf-8")


def test_every_golden_file_belongs_to_a_plan() -> None:
    expected = {f"{name}.{ending}" for name in PLANS for _, ending in RENDERERS.values()}
    assert {file.name for file in GOLDEN.iterdir()} == expected


def test_a_full_plan_lists_every_change() -> None:
    renderer = TextRenderer()
    assert "countries code=24" not in renderer.plan(MANY_ROWS)
    renderer.is_full = True
    assert "countries code=24" in renderer.plan(MANY_ROWS)
    assert "--full" not in renderer.plan(MANY_ROWS)


@pytest.mark.parametrize("name", ["first_run", "nothing_to_do", "every_action", "with_findings"])
def test_the_json_of_a_plan_reads_back_as_the_same_plan(name: str) -> None:
    assert Plan.from_json(JSONRenderer().plan(PLANS[name])) == PLANS[name]


@pytest.mark.parametrize("plan", [FIRST_RUN, NOTHING_TO_DO, EVERY_ACTION])
def test_the_text_fits_in_80_columns(plan: Plan) -> None:
    assert [line for line in TextRenderer().plan(plan).splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("renderer", [TextRenderer(), MarkdownRenderer()])
def test_no_value_breaks_a_line_or_moves_the_cursor(renderer: Renderer) -> None:
    text = renderer.plan(HOSTILE)
    assert [c for c in text if c != "\n" and (ord(c) < 32 or c in "\x7f\u202e\udce9")] == []
    assert not any(line.strip().startswith("- users.everyone") for line in text.splitlines())


def test_the_source_of_a_secret_stays_in_one_piece() -> None:
    source = "$env: A_VARIABLE_WITH_A_VERY_LONG_NAME of the machine that runs this plan"
    assert any(line.endswith(source) for line in TextRenderer().plan(HOSTILE).splitlines())


def test_a_null_and_the_text_null_look_different() -> None:
    assert 'NULL -> "NULL"' in TextRenderer().plan(EVERY_ACTION)


def test_backticks_in_a_value_do_not_end_the_markdown_block() -> None:
    lines = MarkdownRenderer().plan(HOSTILE).splitlines()
    opened = lines.index("````diff")
    assert "````" in lines[opened + 1 :]


@pytest.mark.parametrize("name", PLANS)
def test_text_ends_without_a_newline_and_no_line_ends_in_blanks(name: str) -> None:
    text = TextRenderer().plan(PLANS[name])
    assert text == "\n".join(line.rstrip() for line in text.rstrip("\n").splitlines())


def test_a_remedy_of_findings_in_a_row_is_shown_once_below_them() -> None:
    (step, *others) = NOTHING_TO_DO.steps
    found = (Finding("a", "is dropped", "Keep a backup."), Finding("b", "is dropped", "Keep a backup."))
    noted = replace(NOTHING_TO_DO, steps=(replace(step, findings=(*found, Finding("c", "is slow"))), *others))
    shown = [line.strip() for line in TextRenderer().plan(noted).splitlines()]
    assert shown.index("Keep a backup.") == shown.index("! b: is dropped") + 1
    assert shown.count("Keep a backup.") == 1


def test_a_wide_terminal_is_used() -> None:
    lines = TextRenderer(160).plan(HOSTILE).splitlines()
    (reason,) = [line for line in lines if "no such row no such row" in line and "everyone" in line]
    assert 80 < len(reason) <= 160
    assert len(lines) < len(TextRenderer().plan(HOSTILE).splitlines())


def test_several_bounds_are_added_up() -> None:
    bounded = [Deferred("table a", "", frozenset({Action.CREATE}), most) for most in (1, 2)]
    step = PlannedStep("seed", "seed", State.DEFERRED, deferred=tuple(bounded))
    assert wording.headline(step) == "2 deferred (at most 3 changes)"
    assert wording.totals(plan(step)).endswith(", 2 deferred (at most 3 changes).")
    assert wording.headline(replace(step, deferred=(bounded[0],))) == "1 deferred"
    assert wording.headline(replace(step, deferred=(*bounded, Deferred("table b", "")))) == "3 deferred"


def test_a_hazard_that_is_allowed_has_no_advice() -> None:
    hazard = Hazard(HazardName.DELETE_ROWS, "fixture docs", "2 rows to delete", "Set limits.", "bootstrap.yaml:4")
    assert [wording.remedy(replace(hazard, allowed=allowed)) for allowed in (True, False, None)] == [
        "",
        "Set limits.",
        "Set limits.",
    ]


@pytest.mark.parametrize(("uses", "command"), [("migrate", "apply"), ("downgrade", "downgrade")])
def test_a_refusal_names_its_command(uses: str, command: str) -> None:
    hazard = Hazard(HazardName.DOWNGRADE, "r2", "is reverted", "", "r2.py", allowed=False)
    step = PlannedStep("migrate", uses, State.PENDING, changes=(Change.run("r2"),), hazards=(hazard,))
    assert wording.refusal(plan(step)).startswith(
        f"`bootstrapper {command}` refuses this plan without --allow downgrade"
    )
