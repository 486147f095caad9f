"""The live view of the real program in a pseudo-terminal."""

from __future__ import annotations

from tests.cli.project import Project
from tests.cli.pseudoterminal import on_terminal
from tests.waiting import at_most

CURSOR_HIDDEN, CURSOR_SHOWN = "\x1b[?25l", "\x1b[?25h"


def test_apply_shows_a_line_for_every_step_and_leaves_the_terminal_as_it_was(project: Project) -> None:
    text, code = on_terminal(project, ["apply"])
    assert code == 0
    assert CURSOR_HIDDEN in text
    assert text.rindex(CURSOR_SHOWN) > text.rindex(CURSOR_HIDDEN)
    assert "✓\x1b[0m notes" in text
    assert "done: 2 steps applied" in text.split(CURSOR_SHOWN)[-1]


def test_a_second_apply_needs_no_live_view(project: Project) -> None:
    assert project.run("apply").returncode == 0
    text, code = on_terminal(project, ["apply"])
    assert code == 0
    assert CURSOR_HIDDEN not in text
    assert text.splitlines()[-1] == "nothing to do: the database matches bootstrap.yaml"


def test_a_plan_has_colours_only_where_they_are_wanted(project: Project) -> None:
    assert "\x1b[32m> notes" in on_terminal(project, ["plan"])[0]
    for text, code in (
        on_terminal(project, ["plan", "--no-color"]),
        on_terminal(project, ["plan"], NO_COLOR="1"),
        on_terminal(project, ["plan"], CI="1"),
    ):
        assert code == 0
        assert "\x1b[" not in text


def test_an_apply_that_fails_in_its_middle_gives_the_cursor_back(project: Project) -> None:
    project.write(
        (project.folder / "bootstrap.yaml").read_text().replace("INSERT INTO notes", "SELECT pg_sleep(60) --")
    )
    text, code = on_terminal(project, ["apply", "--timeout", f"{at_most(1):.0f}s"])
    assert code != 0
    assert text.rindex(CURSOR_SHOWN) > text.rindex(CURSOR_HIDDEN)
