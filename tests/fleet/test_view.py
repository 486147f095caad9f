"""Tests of what a run over a fleet shows, on a terminal and elsewhere, and of what its quick looks cost."""

from __future__ import annotations

import io
import json

import pytest
import yaml

from bootstrapper.api import quick_start
from bootstrapper.cli.fleet_grid import Grid
from bootstrapper.fleet.targets import Target
from bootstrapper.fleet.work import Result, Task
from tests.cli.project import ROOT
from tests.cli.pseudoterminal import on_terminal
from tests.fleet.tenants import Fleet

SHARD = ("--shard", "0/1")

pytestmark = pytest.mark.usefixtures("in_process")


def test_a_terminal_shows_a_grid_and_asks_before_the_next_wave(fleet: Fleet) -> None:
    fleet.declare("waves: [{name: canary, first: 2, confirm: true}]\nparallel: 1")
    fleet.list_schemas(4)
    shown, code = on_terminal(fleet, ["fleet", "apply", *SHARD], b"yes\n")
    assert code == 0, shown
    assert "Wave canary is done: 2 changed. Begin wave rest? [y/N]" in shown
    assert "■" in shown
    assert "1 of 2 · 1 running" in shown
    assert "fleet: 4 changed in" in shown


def test_a_cell_of_many_targets_shows_the_worst_of_them() -> None:
    grid = Grid(io.StringIO(), 1000, colour=False)
    for number in range(900):
        grid.ended("failed" if number == 401 else "unchanged")
    cells, numbers = grid.shown().plain.strip().split("\n")
    grid.close()
    assert (len(cells), cells.index("x"), cells.count("x")) == (334, 133, 1)
    assert numbers.strip().startswith("900 of 1,000 · 1 failed · 0 running · ")


def test_a_target_with_nothing_to_do_is_answered_by_a_quick_look(fleet: Fleet) -> None:
    fleet.list_schemas(2)
    assert fleet.run("fleet", "apply", *SHARD).returncode == 0
    file = str(fleet.folder / "bootstrap.yaml")
    tasks = [
        Task(file, None, f"tenant-{n}", Target("", {"name": f"tenant-{n}", "schema": f"t{n}"}).of_request)
        for n in range(2)
    ]
    with fleet.environment():
        assert [quick_start.apply(task.request()) is not None for task in tasks] == [True, True]
        other = Target("", {"name": "renamed", "schema": "t1"}).of_request
        renamed = Task(file, None, "renamed", other).request()
        assert quick_start.apply(renamed) is None, "its note has another name"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            "does not allow these hazards:\n  drop-table: app.t\n  more\nhint: Allow it.",
            "does not allow these hazards: drop-table: app.t",
        ),
        ("cannot be reached\nhint: Start it.", "cannot be reached"),
        ("ends so:", "ends so:"),
        (None, ""),
    ],
)
def test_a_failure_is_shown_with_what_its_first_line_announces(message: str | None, shown: str) -> None:
    assert Result("a", "failed", 9, 0.0, message=message).headline == shown


def test_the_log_of_a_program_is_json(fleet: Fleet) -> None:
    fleet.declare("parallel: 1")
    fleet.list_schemas(1)
    done = fleet.run("fleet", "apply", *SHARD, "--log-format", "json")
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert [event for event in events if event != "fleet_progress"] == ["fleet_wave", "fleet_finished"]


def test_the_job_of_the_example_has_as_many_parts_as_pods() -> None:
    job = yaml.safe_load((ROOT / "examples" / "fleet" / "job.yaml").read_text())["spec"]
    (container,) = job["template"]["spec"]["containers"]
    assert job["completionMode"] == "Indexed"
    assert f"$(JOB_COMPLETION_INDEX)/{job['completions']}" in container["command"]
