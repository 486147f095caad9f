"""What is printed of a run's events, on a terminal and elsewhere."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from bootstrapper import events
from bootstrapper.cli.event_text import progress
from bootstrapper.cli.jsonlog import JsonLog
from bootstrapper.cli.options import Invocation
from bootstrapper.cli.plainlog import PlainLog
from bootstrapper.cli.reporter import event_printer
from bootstrapper.cli.terminal import Terminal
from bootstrapper.events import ChangesAwaited, Event, StepProgressed, Warned
from tests.cli.events import FAILED, NOTHING_TO_DO, RUN


class FakeTerminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def printed(events: Iterable[Event], *, quiet: bool = False) -> list[str]:
    stream = io.StringIO()
    lines = PlainLog(stream, quiet=quiet)
    for event in events:
        lines.emit(event)
    lines.say("done: 2 steps applied")
    return stream.getvalue().splitlines()


def test_plain_lines_tell_the_run_one_line_an_event() -> None:
    assert printed(RUN) == [
        "apply · 127.0.0.1:5432 · database app · environment development",
        "wait: attempt 1 failed: connection refused; retrying in 250 ms",
        "wait: ready: PostgreSQL 18.6 (1.5 s)",
        "lock: waiting: held by run 0198 (host web-1, process 7)",
        "lock: entered: direct",
        "backup: not needed: it is empty",
        "migrate: started, 1 change",
        "migrate | Running upgrade  -> 001_initial\\x1b[0m",
        "migrate: waiting for a lock held by process 7 of role app: SELECT 1",
        "migrate: ran 001_initial in 350 ms",
        "warning: the seed file is old\\nreally",
        "hint: Have a look at it.",
        "seed: started, 3 changes",
        "seed: created 2, updated 1 in 2.0 s",
        "audit: unchanged: as declared",
        "lock: left",
        "done: 2 steps applied",
    ]


def test_quiet_leaves_only_warnings() -> None:
    assert printed(RUN, quiet=True) == ["warning: the seed file is old\\nreally", "hint: Have a look at it."]


def test_progress_is_a_line_every_five_seconds_and_none_for_short_work() -> None:
    now = 0.0
    stream = io.StringIO()
    lines = PlainLog(stream, clock=lambda: now)
    for second in range(13):
        now = float(second)
        lines.emit(StepProgressed("seed", second * 1000, 13000, "rows"))
    assert stream.getvalue().splitlines() == ["seed: 5,000 of 13,000 rows", "seed: 10,000 of 13,000 rows"]


@pytest.mark.parametrize(
    ("done", "total", "unit", "shown"),
    [
        (1, 1, "revisions", "1 of 1 revision"),
        (3, 12, "revisions", "3 of 12 revisions"),
        (1, None, "rows", "1 row"),
        (512, None, "bytes", "512 B"),
        (1536 * 1024, 20 * 1024**2, "bytes", "1.5 of 20.0 MB"),
        (2048, None, "bytes", "2.0 kB"),
    ],
)
def test_progress_reads_as_people_count(done: int, total: int | None, unit: str, shown: str) -> None:
    assert progress(done, total, unit) == shown


def logged(events: Sequence[Event], *, quiet: bool = False) -> list[dict[str, object]]:
    stream = io.StringIO()
    start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    log = JsonLog(stream, quiet=quiet, clock=lambda: start)
    for event in events:
        log.emit(event)
    log.say("words for people")
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_json_log_has_one_object_an_event_with_its_fields() -> None:
    lines = logged(RUN)
    assert len(lines) == len(RUN) - 1  # all but the progress of short work
    assert lines[0] == {
        "time": "2026-01-02T03:04:05.000+00:00",
        "level": "info",
        "event": "run_started",
        "message": "apply · 127.0.0.1:5432 · database app · environment development",
        "command": "apply",
        "server": "127.0.0.1:5432",
        "database": "app",
        "environment": "development",
    }
    applied = next(line for line in lines if line["event"] == "step_applied")
    assert applied["result"] == {"state": "applied", "changes": 1, "deferred": 0}
    assert lines[-1]["event"] == "run_finished"


def test_every_line_of_the_json_log_has_a_level_and_says_in_words_what_happened() -> None:
    lines = logged(RUN) + logged(FAILED)
    assert {line["level"] for line in lines} == {"info", "warning", "error"}
    assert [line for line in lines if not line["message"]] == []
    failed = next(line for line in lines if line["event"] == "step_failed")
    assert (failed["level"], failed["rolled_back"]) == ("error", False)
    waited = logged([ChangesAwaited(("migrate", "seed"))])[0]
    assert waited["steps"] == ["migrate", "seed"]


def test_every_event_is_in_the_list_that_is_documented() -> None:
    assert set(events.ALL) == set(Event.__subclasses__())


def test_the_json_log_gives_progress_once_a_second() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    stream = io.StringIO()
    log = JsonLog(stream, clock=lambda: now)
    for done in range(10):
        log.emit(StepProgressed("seed", done, 10, "rows"))
        now += timedelta(milliseconds=500)
    assert [json.loads(line)["done"] for line in stream.getvalue().splitlines()] == [2, 4, 6, 8]


def test_a_quiet_json_log_still_warns() -> None:
    assert [line["event"] for line in logged(RUN, quiet=True)] == ["warned"]


@pytest.mark.parametrize(
    ("variables", "invocation", "expected"),
    [
        ({"TERM": "xterm"}, {}, Terminal),
        ({"TERM": "dumb"}, {}, PlainLog),
        ({"TERM": "xterm", "CI": "true"}, {}, PlainLog),
        ({"TERM": "xterm"}, {"quiet": True}, PlainLog),
        ({"TERM": "xterm"}, {"log_format": "json"}, JsonLog),
    ],
)
def test_a_live_view_is_only_for_a_person_at_a_terminal(
    variables: dict[str, str], invocation: dict[str, object], expected: type
) -> None:
    asked = Invocation(variables=variables, **invocation)  # type: ignore[arg-type]
    assert isinstance(event_printer(asked, FakeTerminal()), expected)
    assert isinstance(event_printer(Invocation(variables={}), io.StringIO()), PlainLog)


@pytest.mark.parametrize(("variables", "no_color"), [({"NO_COLOR": "1"}, False), ({}, True)])
def test_no_colour_where_nobody_wants_any(variables: dict[str, str], no_color: bool) -> None:
    stream = FakeTerminal()
    said = event_printer(Invocation(variables={"TERM": "xterm", **variables}, no_color=no_color), stream)
    said.emit(Warned("careful"))
    assert stream.getvalue() == "warning: careful\n"


def test_a_run_with_nothing_to_do_is_told_on_a_terminal_without_loading_rich() -> None:
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


def shown(events: Iterable[Event]) -> str:
    stream = FakeTerminal()
    terminal = Terminal(stream, colour=False)
    for event in events:
        terminal.emit(event)
    terminal.close()
    terminal.say("the end")
    return stream.getvalue()


def test_the_live_view_leaves_a_line_for_every_settled_step() -> None:
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


def test_the_live_view_hides_and_gives_back_the_cursor() -> None:
    text = shown(RUN)
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_what_a_tool_printed_is_shown_when_its_step_failed() -> None:
    assert "    | syntax error at line 3" in shown(FAILED)
    assert "Running upgrade" not in shown(RUN).split("ran 001_initial")[1]


def test_markup_in_a_message_is_only_text() -> None:
    assert "warning: [red]x[/red] [/]" in shown([*RUN[:2], Warned("[red]x[/red] [/]")])


def test_a_terminal_of_ascii_gets_ascii_marks() -> None:
    stream = FakeTerminal()
    stream.encoding = "ascii"
    terminal = Terminal(stream, colour=False)
    for event in NOTHING_TO_DO[1:3]:
        terminal.emit(event)
    terminal.emit(RUN[13])
    assert "  + seed          created 2, updated 1 in 2.0 s" in stream.getvalue()
