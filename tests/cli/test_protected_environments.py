"""Tests that a run of one environment does not write to the database of a protected one."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.cli.project import Project

BOOTSTRAP = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
environments:
  development: {}
  staging: {}
  production: {protected: true}
steps:
  - uses: lock
  - uses: sql
    name: note
    with: {statement: "INSERT INTO notes VALUES ('${BODY}')"}
    check: {sql: "SELECT EXISTS (SELECT FROM notes WHERE body = '${BODY}')"}
"""


@pytest.fixture
def produced(project: Project) -> Project:
    """A project whose database was last written by production."""
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE notes (body text)")
    project.write(BOOTSTRAP)
    assert project.run("apply", "-e", "production", BODY="live").returncode == 0
    return project


def notes(project: Project) -> list[str]:
    with psycopg.connect(project.url) as connection:
        return [body for (body,) in connection.execute("SELECT body FROM notes ORDER BY 1").fetchall()]


def name_of(project: Project) -> str:
    return project.url.rpartition("/")[2]


def test_an_apply_of_another_environment_is_refused_before_any_change(produced: Project) -> None:
    done = produced.run("apply", "-e", "development", BODY="mine")
    assert done.returncode == 9
    assert "was last written by a run of the protected environment 'production'" in done.stderr
    assert f"--confirm {name_of(produced)}" in done.stderr
    assert notes(produced) == ["live"]
    assert [run["environment"] for run in json.loads(runs(produced))] == ["production"]


def runs(project: Project) -> str:
    return project.run("history", "-e", "production", "--format", "json", BODY="live").stdout


def test_a_refused_run_does_not_permit_the_next_one(produced: Project) -> None:
    for _ in range(2):
        assert produced.run("apply", "-e", "development", BODY="mine").returncode == 9
    assert notes(produced) == ["live"]


def test_a_plan_of_another_environment_warns_that_apply_is_refused(produced: Project) -> None:
    done = produced.run("plan", "-e", "development", BODY="mine")
    assert done.returncode == 0
    assert "production" in done.stderr
    assert "it will be refused" in done.stderr
    assert "refused" not in produced.run("plan", "-e", "production", BODY="more").stderr


def test_the_name_of_the_database_permits_the_write(produced: Project) -> None:
    wrong = produced.run("apply", "-e", "development", "--confirm", "other", BODY="mine")
    assert (wrong.returncode, notes(produced)) == (9, ["live"])
    done = produced.run("apply", "-e", "development", "--confirm", name_of(produced), BODY="mine")
    assert (done.returncode, notes(produced)) == (0, ["live", "mine"]), done.stderr
    assert produced.run("apply", "-e", "development", BODY="more").returncode == 0


def test_a_database_last_written_by_an_unprotected_environment_is_writable(produced: Project) -> None:
    produced.run("apply", "-e", "development", "--confirm", name_of(produced), BODY="mine")
    assert produced.run("apply", "-e", "staging", BODY="too").returncode == 0


def test_a_no_op_apply_of_another_environment_is_not_refused(produced: Project) -> None:
    assert produced.run("apply", "-e", "development", BODY="live").returncode == 0


def test_a_restore_of_another_environment_is_refused(produced: Project) -> None:
    produced.write(BOOTSTRAP.replace("  - uses: sql", "  - {uses: backup, check: never}\n  - uses: sql"))
    assert produced.run("backup", "-e", "production", BODY="live").returncode == 0
    done = produced.run("restore", "--latest", "-e", "development", "--yes", BODY="live")
    assert (done.returncode, "nothing was written" in done.stderr) == (9, True)
