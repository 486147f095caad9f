"""Tests that a program which asked for JSON gets JSON on stdout whatever goes wrong."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.cli.project import BOOTSTRAP, Project

KEYS = {"event", "error", "hint", "exit_code", "retryable", "place", "sqlstate"}


@pytest.mark.parametrize("command", ["plan", "apply", "status", "history"])
def test_an_unreachable_database_is_said_in_json(offline: Project, command: str) -> None:
    offline.write(BOOTSTRAP.replace("timeout: 5s", "timeout: 100ms"))
    done = offline.run(command, "--format", "json", "--timeout", "1s")
    said = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 5, done.stderr
    assert said.keys() >= KEYS
    assert (said["event"], said["exit_code"], said["retryable"]) == ("error", 5, True)
    assert "hunter2hunter2" not in done.stdout


def test_no_error_follows_data_that_were_printed(project: Project) -> None:
    assert project.run("apply").returncode == 0
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("UPDATE bootstrapper.steps SET step = 'x' WHERE id = 1")
    done = project.run("history", "--verify", "--format", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["faults"]


def test_an_error_of_the_file_has_its_place(offline: Project) -> None:
    offline.write(BOOTSTRAP.replace("uses: wait", "uses: wiat"))
    done = offline.run("plan", "--format=json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["exit_code"], said["retryable"]) == (2, 2, False)
    assert [problem["source"] for problem in said["problems"]] == ["bootstrap.yaml:5:11"]


def test_wrong_options_are_said_in_json(offline: Project) -> None:
    done = offline.run("apply", "--format", "json", "--nonsense")
    assert (done.returncode, json.loads(done.stdout)["error"]) == (2, "unknown option '--nonsense'")


def test_a_failed_step_ends_the_events_with_the_error(project: Project) -> None:
    project.write(BOOTSTRAP.replace("INSERT INTO notes", "INSERT INTO nowhere"))
    done = project.run("apply", "--format", "json")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [each["event"] for each in said[-3:]] == ["scope_left", "run_finished", "error"]
    assert "step_failed" in [each["event"] for each in said]
    assert (said[-1]["exit_code"], said[-1]["sqlstate"]) == (1, "42P01")
