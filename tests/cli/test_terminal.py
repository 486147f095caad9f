"""Tests of the live view: of the class, and of the program in a pseudo-terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterable

from bootstrapper.cli.terminal import Terminal
from bootstrapper.events import Event, Warned
from tests.cli.events import FAILED, NOTHING_TO_DO, RUN
from tests.cli.project import Project
from tests.cli.pseudoterminal import on_terminal
from tests.waiting import at_most


class FakeTerminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def shown(events: Iterable[Event]) -> str:
    stream = FakeTerminal()
    terminal = Terminal(stream, colour=False)
    for event in events:
        terminal.emit(event)
    terminal.close()
    terminal.say("the end")
    return stream.getvalue()


def test_a_no_op_run_on_a_terminal_does_not_import_rich() -> None:
    script = (
        "import sys; from bootstrapper.cli.terminal import Terminal; from tests.cli.events import NOTHING_TO_DO\n"
        "terminal = Terminal(sys.stdout, colour=False)\n"
        "for event in NOTHING_TO_DO: terminal.emit(event)\n"
        "assert 'rich' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ})
    assert run.stderr == ""
    assert run.stdout.splitlines() == [
        "apply · 127.0.0.1:5432 · database app · environment development",
        "  = wait          ready (12 ms)",
        "  = audit         unchanged: as declared",
    ]


def test_the_live_view_prints_a_line_for_every_finished_step() -> None:
    text = shown(RUN)
    for line in (
        "  = wait          ready: PostgreSQL 18.6 (1.5 s)",
        "  - backup        not needed: it is empty",
        "  ✓ migrate       ran 001_initial in 350 ms",
        "  ✓ seed          created 2, updated 1 in 2.0 s",
        "warning: the seed file is old\\nreally",
    ):
        assert line in text
    assert text.endswith("the end\n")


def test_the_live_view_hides_and_restores_the_cursor() -> None:
    text = shown(RUN)
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_the_output_of_a_tool_is_printed_if_its_step_fails() -> None:
    assert "    | syntax error at line 3" in shown(FAILED)
    assert "Running upgrade" not in shown(RUN).split("ran 001_initial")[1]


def test_markup_in_a_message_is_printed_as_text() -> None:
    assert "warning: [red]x[/red] [/]" in shown([*RUN[:2], Warned("[red]x[/red] [/]")])


def test_an_ascii_terminal_gets_ascii_marks() -> None:
    stream = FakeTerminal()
    stream.encoding = "ascii"
    terminal = Terminal(stream, colour=False)
    for event in NOTHING_TO_DO[1:3]:
        terminal.emit(event)
    terminal.emit(RUN[13])
    assert "  + seed          created 2, updated 1 in 2.0 s" in stream.getvalue()


CURSOR_HIDDEN, CURSOR_SHOWN = "\x1b[?25l", "\x1b[?25h"


def test_apply_prints_a_line_for_every_step_and_restores_the_terminal(project: Project) -> None:
    text, code = on_terminal(project, ["apply"])
    assert code == 0
    assert CURSOR_HIDDEN in text
    assert text.rindex(CURSOR_SHOWN) > text.rindex(CURSOR_HIDDEN)
    assert "✓\x1b[0m notes" in text
    assert "done: 2 steps applied" in text.split(CURSOR_SHOWN)[-1]


def test_a_no_op_apply_starts_no_live_view(project: Project) -> None:
    assert project.run("apply").returncode == 0
    text, code = on_terminal(project, ["apply"])
    assert code == 0
    assert CURSOR_HIDDEN not in text
    assert text.splitlines()[-1] == "nothing to do: the database matches bootstrap.yaml"


def test_a_failing_apply_restores_the_cursor(project: Project) -> None:
    project.write(
        (project.folder / "bootstrap.yaml").read_text().replace("INSERT INTO notes", "SELECT pg_sleep(60) --")
    )
    text, code = on_terminal(project, ["apply", "--timeout", f"{at_most(1):.0f}s"])
    assert code != 0
    assert text.rindex(CURSOR_SHOWN) > text.rindex(CURSOR_HIDDEN)
