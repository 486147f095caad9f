"""Tests of the colours of a plan on a terminal."""

from __future__ import annotations

from tests.cli.project import Project
from tests.cli.pseudoterminal import on_terminal


def test_a_plan_is_coloured_unless_colours_are_disabled(project: Project) -> None:
    assert "\x1b[32m> notes" in on_terminal(project, ["plan"])[0]
    for text, code in (
        on_terminal(project, ["plan", "--no-color"]),
        on_terminal(project, ["plan"], NO_COLOR="1"),
        on_terminal(project, ["plan"], CI="1"),
    ):
        assert code == 0
        assert "\x1b[" not in text
