"""Tests of `apply`: its changes, its summary and its options."""

from __future__ import annotations

import json
import subprocess

import psycopg
import pytest

from bootstrapper import events
from bootstrapper.api.event_facts import name
from tests.cli.project import BOOTSTRAP, Project
from tests.waiting import at_most

pytestmark = pytest.mark.smoke


def rows(project: Project, query: bytes) -> list[tuple[object, ...]]:
    with psycopg.connect(project.url) as connection:
        return connection.execute(query).fetchall()


def test_apply_prints_a_summary_and_then_that_there_is_nothing_to_do(project: Project) -> None:
    first, second = project.run("apply"), project.run("apply")
    assert first.returncode == 0, first.stderr
    assert first.stdout == ""
    assert first.stderr.splitlines()[-1].startswith("done: 2 steps applied, in ")
    assert second.returncode == 0
    assert second.stderr.splitlines()[-1] == "nothing to do: the database matches bootstrap.yaml"
    assert rows(project, b"SELECT body FROM notes") == [("Grüße",)]


def test_an_apply_of_chosen_steps_prints_why_a_step_is_skipped(project: Project) -> None:
    project.write(BOOTSTRAP + "  - {uses: backup, when: {database: empty}}\n")
    project.run("apply", "--step", "notes")
    said = project.run("apply", "--step", "backup").stderr.splitlines()[-1]
    assert said.startswith("nothing to do: no chosen step has changes; backup is not needed: ")


def test_setup_is_an_alias_of_apply(project: Project) -> None:
    assert project.run("setup").returncode == 0
    assert rows(project, b"SELECT count(*) FROM notes") == [(1,)]


def test_of_two_concurrent_applies_one_does_the_work_and_both_succeed(project: Project) -> None:
    processes = [
        subprocess.Popen(
            project.command("apply"),
            cwd=project.folder,
            env=project.variables(),
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        for _ in range(2)
    ]
    last = sorted(process.communicate(timeout=at_most(60))[1].splitlines()[-1].split()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert last == ["done:", "nothing"]
    assert rows(project, b"SELECT count(*) FROM notes") == [(1,)]


def test_apply_with_a_format_prints_its_plan(project: Project) -> None:
    shown = project.run("apply", "--format", "markdown").stdout
    assert shown.startswith("### sample\n")
    assert "| notes (sql) |" in shown


def test_apply_with_json_prints_an_object_for_each_event(project: Project) -> None:
    known = {name(kind) for kind in events.ALL}
    done = project.run("apply", "--format", "json")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["event"] for each in said} <= known
    assert [each["step"] for each in said if each["event"] == "step_applied"] == ["notes", "first-note"]
    assert (said[0]["event"], said[-1]["event"], said[-1]["outcome"]) == ("run_started", "run_finished", "done")
    assert done.stderr.splitlines()[-1].startswith("done: 2 steps applied")


def test_a_dry_run_prints_the_plan_and_changes_nothing(project: Project) -> None:
    run = project.run("apply", "--dry-run")
    assert run.returncode == 0
    assert "Plan: " in run.stdout
    assert rows(project, b"SELECT to_regclass('notes')") == [(None,)]


def test_only_chosen_steps_are_run(project: Project) -> None:
    run = project.run("apply", "--step", "notes")
    assert run.stderr.splitlines()[-1].startswith("done: 1 step applied")
    assert rows(project, b"SELECT count(*) FROM notes") == [(0,)]
    assert project.run("apply", "--skip", "first-note").returncode == 0
    assert rows(project, b"SELECT count(*) FROM notes") == [(0,)]


def test_a_quiet_apply_prints_nothing(project: Project) -> None:
    run = project.run("apply", "--quiet")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_failed_step_is_printed_without_traceback(project: Project) -> None:
    project.write(BOOTSTRAP.replace("VALUES (1,", "VALUES (1/0,"))
    run = project.run("apply")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "division by zero" in run.stderr.split("error: ")[-1]


def test_the_hint_for_a_format_that_apply_lacks_names_json(project: Project) -> None:
    run = project.run("apply", "--format", "csv")
    assert run.returncode == 2
    assert run.stderr.startswith("error: unknown format 'csv'\nhint: Choose one of these: json, markdown, text.")
