"""A run of one environment stays out of the database of another one that is protected."""

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
    """Its database was written by production."""
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


def test_an_apply_of_another_environment_is_refused_before_anything_is_written(produced: Project) -> None:
    done = produced.run("apply", "-e", "development", BODY="mine")
    assert done.returncode == 9
    assert "was last written by a run of the protected environment 'production'" in done.stderr
    assert f"--confirm {name_of(produced)}" in done.stderr
    assert notes(produced) == ["live"]
    assert [run["environment"] for run in json.loads(runs(produced))] == ["production"]


def runs(project: Project) -> str:
    return project.run("history", "-e", "production", "--format", "json", BODY="live").stdout


def test_a_refused_run_does_not_make_way_for_the_next_one(produced: Project) -> None:
    for _ in range(2):
        assert produced.run("apply", "-e", "development", BODY="mine").returncode == 9
    assert notes(produced) == ["live"]


def test_a_plan_of_another_environment_says_that_it_will_be_refused(produced: Project) -> None:
    done = produced.run("plan", "-e", "development", BODY="mine")
    assert done.returncode == 0
    assert "production" in done.stderr
    assert "it will be refused" in done.stderr
    assert "refused" not in produced.run("plan", "-e", "production", BODY="more").stderr


def test_who_gives_the_name_of_the_database_means_it(produced: Project) -> None:
    wrong = produced.run("apply", "-e", "development", "--confirm", "other", BODY="mine")
    assert (wrong.returncode, notes(produced)) == (9, ["live"])
    done = produced.run("apply", "-e", "development", "--confirm", name_of(produced), BODY="mine")
    assert (done.returncode, notes(produced)) == (0, ["live", "mine"]), done.stderr
    assert produced.run("apply", "-e", "development", BODY="more").returncode == 0


def test_a_database_that_no_protected_environment_wrote_to_is_open(produced: Project) -> None:
    produced.run("apply", "-e", "development", "--confirm", name_of(produced), BODY="mine")
    assert produced.run("apply", "-e", "staging", BODY="too").returncode == 0


def test_nothing_to_do_is_nothing_to_refuse(produced: Project) -> None:
    assert produced.run("apply", "-e", "development", BODY="live").returncode == 0


def test_a_restore_of_another_environment_is_refused(produced: Project) -> None:
    produced.write(BOOTSTRAP.replace("  - uses: sql", "  - {uses: backup, check: never}\n  - uses: sql"))
    assert produced.run("backup", "-e", "production", BODY="live").returncode == 0
    done = produced.run("restore", "--latest", "-e", "development", "--yes", BODY="live")
    assert (done.returncode, "nothing was written" in done.stderr) == (9, True)
