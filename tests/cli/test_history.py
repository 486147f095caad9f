"""Tests of `history`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest

from bootstrapper import __version__
from tests.cli.project import Project
from tests.cli.revisions import BOOTSTRAP, rows, three_revisions


@pytest.fixture
def project(tmp_path: Path, database: str) -> Project:
    return three_revisions(tmp_path, database)


def test_history_lists_runs_and_revisions_with_role_and_duration(project: Project) -> None:
    assert project.run("history", "-e", "here").stdout.startswith("no runs")
    project.run("upgrade", "second", "-e", "here")
    project.run("downgrade", "first", "--yes", "-e", "here")
    (down, up) = json.loads(project.run("history", "--format", "json", "-e", "here").stdout)
    assert [(each["action"], each["revision"]) for each in up["revisions"]] == [
        ("upgrade", "first"),
        ("upgrade", "second"),
    ]
    assert [(each["action"], each["revision"]) for each in down["revisions"]] == [("downgrade", "second")]
    assert (up["command"], up["outcome"], up["role"]) == ("upgrade", "done", rows(project, "SELECT user")[0][0])
    assert all(each["seconds"] >= 0 for each in up["revisions"])
    text = project.run("history", "--most", "1", "-e", "here").stdout
    assert ("downgrade second" in text, "upgrade" in text) == (True, False)


def test_history_prints_the_lines_of_an_error(project: Project) -> None:
    with psycopg.connect(project.url) as connection:
        connection.execute("CREATE TABLE b ()")
    project.run("stamp", "base", "-e", "here")
    assert project.run("upgrade", "-e", "here").returncode == 1
    told = project.run("history", "--most", "1", "-e", "here").stdout
    error, at, statement = told.splitlines()[-3:]
    assert error == '    error: revision second: relation "b" already exists (SQLSTATE 42P07)'
    assert at == "      at migrations/versions/second_.py:16"
    assert statement.startswith("      statement: CREATE")


def test_history_of_an_older_ledger_lists_the_runs(project: Project) -> None:
    project.run("upgrade", "first", "-e", "here")
    with psycopg.connect(project.url) as connection:
        connection.execute("DROP TABLE bootstrapper.revisions")
        for column in ("role", "project", "file", "restored"):
            connection.execute(f"ALTER TABLE bootstrapper.runs DROP COLUMN {column}".encode())
    shown = project.run("history", "-e", "here")
    assert ("upgrade · here" in shown.stdout, "first" in shown.stdout) == (True, False)


def test_history_distinguishes_two_projects_on_one_database(project: Project) -> None:
    project.run("upgrade", "first", "-e", "here")
    project.write(BOOTSTRAP.replace("name: sample", "name: other"), "other.yaml")
    project.run("upgrade", "second", "-f", "other.yaml", "-e", "here")
    shown = project.run("history", "-e", "here").stdout
    assert "upgrade · other · other.yaml · here" in shown
    assert "upgrade · sample · bootstrap.yaml · here" in shown


def test_history_of_one_run_shows_its_steps_with_changes_and_durations(project: Project) -> None:
    project.write(
        BOOTSTRAP + "  - uses: sql\n    name: note\n    check: never\n    with: {statement: CREATE TABLE note ()}\n"
    )
    assert project.run("apply", "-e", "here").returncode == 0
    (run,) = json.loads(project.run("history", "--format", "json", "-e", "here").stdout)
    shown = project.run("history", "1", "-e", "here").stdout
    facts = dict(line.split(maxsplit=1) for line in shown.partition("\n\n")[0].splitlines())
    assert (facts["run"], facts["command"]) == (run["run_id"], "apply · sample · bootstrap.yaml · here")
    assert (facts["version"], facts["inputs"]) == (f"bootstrapper {__version__}", run["inputs"])
    assert re.search(r"  migrate  3 ran in [0-9.]+ m?s\n.*  note \(sql\)  1 ran in [0-9.]+ m?s\n", shown)
    assert shown.count("upgrade") == 3
    data = json.loads(project.run("history", run["run_id"], "--format", "json", "-e", "here").stdout)
    assert [(step["step"], step["kind"], step["changes"]) for step in data["steps"]] == [
        ("migrate", "intent", {"run": 3}),
        ("migrate", "result", {"run": 3}),
        ("note", "result", {"run": 1}),
    ]
    assert [step["seconds"] is None for step in data["steps"]] == [True, False, False]
    assert data["plan"] is None


def test_history_of_a_failed_run_shows_the_step_without_a_result(project: Project) -> None:
    with psycopg.connect(project.url) as connection:
        connection.execute("CREATE TABLE b ()")
    project.run("stamp", "base", "-e", "here")
    assert project.run("upgrade", "-e", "here").returncode == 1
    shown = project.run("history", "2", "-e", "here").stdout
    assert "\nerror: revision second" in shown
    assert "  migrate  no result: it was interrupted, or failed\n" in shown


def test_a_run_is_found_by_the_beginning_and_the_end_of_its_id(project: Project) -> None:
    for _ in range(2):
        project.run("upgrade", "first", "-e", "here")
        project.run("downgrade", "base", "--yes", "-e", "here")
    ids = [str(found) for (found,) in rows(project, "SELECT run_id FROM bootstrapper.runs ORDER BY serial")]
    for text in (ids[2], ids[2].upper(), ids[2][:-1], ids[2][-12:], "3"):
        assert ids[2] in project.run("history", text, "-e", "here").stdout
    several = project.run("history", ids[2][:6], "-e", "here")
    assert (several.returncode, ids[0] in several.stderr) == (2, True)
    assert "may be any of 4 runs" in several.stderr
    for text in ("5", "abc", "no such run", "%"):
        assert f"no run '{text}' in the ledger" in project.run("history", text, "-e", "here").stderr
    assert project.run("history", "1", "--most", "2", "-e", "here").returncode == 2
    assert project.run("history", "", "-e", "here").returncode == 2


def test_history_of_one_run_without_a_ledger_is_an_error(project: Project) -> None:
    done = project.run("history", "1", "-e", "here")
    assert (done.returncode, "no run '1' in the ledger" in done.stderr) == (2, True)
