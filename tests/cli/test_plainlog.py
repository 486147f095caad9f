"""Tests of the plain lines that a log or a pipe receives."""

from __future__ import annotations

import io
from collections.abc import Iterable

from bootstrapper.cli.plainlog import PlainLog
from bootstrapper.events import Event, StepProgressed
from tests.cli.events import RUN


def printed(events: Iterable[Event], *, quiet: bool = False) -> list[str]:
    stream = io.StringIO()
    lines = PlainLog(stream, quiet=quiet)
    for event in events:
        lines.emit(event)
    lines.say("done: 2 steps applied")
    return stream.getvalue().splitlines()


def test_the_plain_log_has_one_line_per_event() -> None:
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


def test_a_quiet_plain_log_contains_only_warnings() -> None:
    assert printed(RUN, quiet=True) == ["warning: the seed file is old\\nreally", "hint: Have a look at it."]


def test_progress_is_printed_every_five_seconds_and_not_for_short_steps() -> None:
    now = 0.0
    stream = io.StringIO()
    lines = PlainLog(stream, clock=lambda: now)
    for second in range(13):
        now = float(second)
        lines.emit(StepProgressed("seed", second * 1000, 13000, "rows"))
    assert stream.getvalue().splitlines() == ["seed: 5,000 of 13,000 rows", "seed: 10,000 of 13,000 rows"]
