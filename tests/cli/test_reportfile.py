"""Tests of `--report`: its contents, and the files that it replaces."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from bootstrapper.cli.journal import Journal
from bootstrapper.plans import Plan
from tests.cli.project import BOOTSTRAP, Project


def rows(project: Project, query: bytes) -> list[tuple[object, ...]]:
    with psycopg.connect(project.url) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.smoke
def test_a_report_lists_the_applied_steps(project: Project) -> None:
    project.run("apply", "--report", "report.json")
    report = json.loads((project.folder / "report.json").read_text())
    assert report["outcome"] == "done"
    assert report["exit_code"] == 0
    assert report["error"] is None
    assert report["run_id"]
    assert [(step["name"], step["result"]) for step in report["steps"]] == [
        ("notes", "applied"),
        ("first-note", "applied"),
    ]
    assert Plan.from_json(json.dumps(report["plan"])).name == "sample"


@pytest.mark.smoke
def test_a_report_is_also_written_on_failure(project: Project) -> None:
    project.write(BOOTSTRAP.replace("VALUES (1,", "VALUES (1/0,"))
    run = project.run("apply", "--report", "report.json")
    report = json.loads((project.folder / "report.json").read_text())
    assert run.returncode == report["exit_code"] == report["error"]["exit_code"] == 1
    assert report["steps"][-1]["result"] == "failed"
    assert report["run_id"] in run.stderr
    assert "division by zero" in report["error"]["message"]


@pytest.mark.smoke
def test_an_unwritable_report_is_refused_before_any_change(project: Project) -> None:
    run = project.run("apply", "--report", "no/such/folder/report.json")
    assert run.returncode == 2
    assert "report" in run.stderr
    assert rows(project, b"SELECT to_regclass('notes')") == [(None,)]


def text(path: Path) -> None:
    path.write_text("mine")


def test_a_report_replaces_a_report_or_an_empty_file_and_with_overwrite_any_file(offline: Project) -> None:
    report = offline.folder / "report.json"
    report.touch()
    for overwrite in [[], [], ["--overwrite"]]:
        if overwrite:
            report.write_text("{}")
        run = offline.run("plan", "--timeout", "100ms", "--report", "report.json", *overwrite)
        assert (run.returncode, json.loads(report.read_text())["exit_code"]) == (5, 5), run.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["apply", "--oops"],
        ["apply", "--timeout", "soon"],
        ["apply", "--follow", "--force"],
        ["restore", "--latest", "--drop-old"],
        ["restore"],
        ["apply", "--step", "nots"],
    ],
    ids=" ".join,
)
def test_a_command_with_wrong_arguments_writes_its_report(offline: Project, arguments: list[str]) -> None:
    for option in (["--report", "report.json"], ["--report=other.json"]):
        run = offline.run(*arguments, *option)
        report = json.loads((offline.folder / option[-1].removeprefix("--report=")).read_text())
        assert (run.returncode, report["exit_code"], report["error"]["exit_code"]) == (2, 2, 2)
        assert report["command"] == arguments[0]
        assert report["error"]["message"].split("\n")[0] in run.stderr


def test_the_report_of_wrong_arguments_replaces_no_other_file(offline: Project) -> None:
    text(offline.folder / "mine")
    assert offline.run("apply", "--oops", "--report", "mine").returncode == 2
    assert offline.run("apply", "--oops", "--overwrite", "--report", "bootstrap.yaml").returncode == 2
    assert offline.run("validate", "--report", "new.json").returncode == 2  # validate has no --report
    names = sorted(path.name for path in offline.folder.iterdir())
    assert (names, (offline.folder / "mine").read_text()) == (["bootstrap.yaml", "mine"], "mine")


def test_a_report_does_not_overwrite_the_configuration(offline: Project) -> None:
    offline.run("apply", "--report", str(offline.folder / "bootstrap.yaml"))
    assert (offline.folder / "bootstrap.yaml").read_text(encoding="utf-8") == BOOTSTRAP


def test_a_failed_report_is_a_warning_before_the_error(offline: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "write", write)
    run = offline.run("plan", "--step", "nots", "--report", "report.json")
    assert run.returncode == 2
    assert run.stderr.startswith("warning: cannot write the report: No space left on device\nerror: ")
