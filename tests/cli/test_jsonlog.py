"""Tests of `--log-format json`."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from bootstrapper import event_data, events
from bootstrapper.cli.jsonlog import JsonLog
from bootstrapper.events import ChangesAwaited, Event, StepProgressed
from tests.cli.events import FAILED, RUN
from tests.cli.project import Project


def logged(events: Sequence[Event], *, quiet: bool = False) -> list[dict[str, object]]:
    stream = io.StringIO()
    start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    log = JsonLog(stream, quiet=quiet, clock=lambda: start)
    for event in events:
        log.emit(event)
    log.say("words for people")
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_json_log_has_one_object_per_event_with_its_fields() -> None:
    lines = logged(RUN)
    assert len(lines) == len(RUN) - 1  # all but the progress of a short step
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
    assert {"time": lines[0]["time"], **event_data(RUN[0])} == lines[0]
    applied = next(line for line in lines if line["event"] == "step_applied")
    assert applied["result"] == {"state": "applied", "changes": 1, "deferred": 0}
    assert lines[-1]["event"] == "run_finished"


def test_every_line_of_the_json_log_has_a_level_and_a_message() -> None:
    lines = logged(RUN) + logged(FAILED)
    assert {line["level"] for line in lines} == {"info", "warning", "error"}
    assert [line for line in lines if not line["message"]] == []
    failed = next(line for line in lines if line["event"] == "step_failed")
    assert (failed["level"], failed["rolled_back"]) == ("error", False)
    waited = logged([ChangesAwaited(("migrate", "seed"))])[0]
    assert waited["steps"] == ["migrate", "seed"]


def test_every_event_is_in_the_documented_list() -> None:
    assert set(events.ALL) == set(Event.__subclasses__())


def test_the_json_log_has_progress_once_per_second() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    stream = io.StringIO()
    log = JsonLog(stream, clock=lambda: now)
    for done in range(10):
        log.emit(StepProgressed("seed", done, 10, "rows"))
        now += timedelta(milliseconds=500)
    assert [json.loads(line)["done"] for line in stream.getvalue().splitlines()] == [2, 4, 6, 8]


def test_a_quiet_json_log_contains_warnings() -> None:
    assert [line["event"] for line in logged(RUN, quiet=True)] == ["warned"]


@pytest.mark.smoke
def test_the_json_log_has_one_object_per_line(project: Project) -> None:
    run = project.run("apply", "--log-format", "json")
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    assert lines[0]["event"] == "run_started"
    assert lines[-1]["event"] == "run_finished"
    assert [line["step"] for line in lines if line["event"] == "step_applied"] == ["notes", "first-note"]
