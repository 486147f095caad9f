"""Tests of `plan`: what it prints, in each format, and its exit code."""

from __future__ import annotations

import psycopg
import pytest

from bootstrapper.plans import Plan
from tests.cli.project import BOOTSTRAP, Project

pytestmark = pytest.mark.smoke


def rows(project: Project, query: bytes) -> list[tuple[object, ...]]:
    with psycopg.connect(project.url) as connection:
        return connection.execute(query).fetchall()


def test_plan_shows_the_changes_and_makes_none(project: Project) -> None:
    run = project.run("plan")
    assert run.returncode == 0, run.stderr
    assert "> notes (sql)" in run.stdout
    assert run.stdout.rstrip().splitlines()[-1].startswith("Plan: 0 to create, 0 to update, 0 to delete, 1 to run")
    assert rows(project, b"SELECT nspname FROM pg_namespace WHERE nspname = 'bootstrapper'") == []


def test_the_first_line_names_server_database_and_environment(project: Project) -> None:
    project.write(BOOTSTRAP + "environments: {development: {}}\n")
    first = project.run("plan", "-e", "development").stderr.splitlines()[0]
    assert first.startswith("plan · 127.0.0.1:")
    assert "database test_" in first
    assert first.endswith("environment development")


def test_plan_exits_with_4_for_pending_changes_if_requested(project: Project) -> None:
    assert project.run("plan").returncode == 0
    assert project.run("plan", "--exit-code").returncode == 4
    assert project.run("apply").returncode == 0
    assert project.run("plan", "--exit-code").returncode == 0


def test_the_json_plan_is_the_only_thing_on_stdout(project: Project) -> None:
    run = project.run("plan", "--format", "json")
    plan = Plan.from_json(run.stdout)
    assert [step.name for step in plan.steps] == ["wait", "lock", "notes", "first-note"]


def test_a_markdown_plan_starts_with_a_heading(project: Project) -> None:
    assert project.run("plan", "--format", "markdown").stdout.startswith("### sample\n")


def test_an_unknown_format_is_refused_before_connecting(offline: Project) -> None:
    run = offline.run("plan", "--format", "yaml")
    assert run.returncode == 2
    assert run.stderr.startswith("error: unknown format 'yaml'\nhint: Choose one of these: json, markdown, sarif, text")


def test_a_plan_is_as_wide_as_the_terminal(project: Project) -> None:
    project.write(BOOTSTRAP.replace("{table: notes}", "{table: a_table_with_a_name_that_takes_some_room}"))
    narrow, wide = (project.run("plan", COLUMNS=width).stdout.splitlines() for width in ("40", "200"))
    assert len(wide) < len(narrow)
