"""Tests of `history`."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

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
    assert '    error: revision second: relation "b" already exists (SQLSTATE 42P07)\n      statement: CREATE' in told


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
