"""Tests that a run of one environment does not write to the database of a protected one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from tests.cli.project import Project
from tests.servers import Server

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
    """A project whose database belongs to production."""
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
    assert "is marked as that of environment 'production', but this run is of 'development'" in done.stderr
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


def mark_of(project: Project) -> str | None:
    with psycopg.connect(project.url) as connection:
        row = connection.execute("SELECT value::json ->> 'name' FROM bootstrapper.meta WHERE key = 'environment'")
        found = row.fetchone()
    return found[0] if found else None


def unmark(project: Project) -> None:
    """Leaves the ledger as one of a release without marks."""
    with psycopg.connect(project.url) as connection:
        connection.execute("DELETE FROM bootstrapper.meta WHERE key = 'environment'")


def test_the_first_apply_of_a_protected_environment_marks_the_database(produced: Project) -> None:
    assert mark_of(produced) == "production"
    shown = produced.run("environment", "show", "-e", "staging", BODY="live")
    assert (shown.returncode, shown.stdout.startswith("production (by postgres on ")) == (0, True), shown.stderr
    told = json.loads(produced.run("environment", "show", "-e", "staging", "--format", "json", BODY="live").stdout)
    assert (told["database"], told["mark"]["name"], told["last_run_of"]) == (
        name_of(produced),
        "production",
        "production",
    )


def test_an_apply_of_an_unprotected_environment_marks_nothing(project: Project) -> None:
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE notes (body text)")
    project.write(BOOTSTRAP)
    empty = project.run("environment", "show", "-e", "staging", BODY="x")
    assert (empty.returncode, empty.stdout) == (0, "not marked\n")
    assert project.run("apply", "-e", "staging", BODY="x").returncode == 0
    shown = project.run("environment", "show", "-e", "staging", BODY="x")
    assert shown.stdout == "not marked; last written by a run of environment staging\n"


def test_the_plan_of_one_environment_is_not_applied_to_the_database_of_another(produced: Project) -> None:
    planned = produced.run("plan", "-e", "staging", BODY="mine")
    assert (planned.returncode, "environment 'production', but this run is of 'staging'" in planned.stderr) == (0, True)
    nothing = produced.run("plan", "-e", "staging", BODY="live")
    assert "whatever it writes will be refused" in nothing.stderr
    assert produced.run("apply", "-e", "staging", BODY="mine").returncode == 9
    assert notes(produced) == ["live"]


def test_a_file_without_environments_does_not_write_to_a_marked_database(produced: Project) -> None:
    produced.write(
        "\n".join(
            line for line in BOOTSTRAP.split("\n") if not line.startswith(("environments", "  dev", "  stag", "  prod"))
        )
    )
    done = produced.run("apply", BODY="mine")
    assert (done.returncode, "but this run is of no environment" in done.stderr) == (9, True), done.stderr


def test_a_copy_carries_the_mark_along(produced: Project, new_database: Callable[[], str], server: Server) -> None:
    copy = replace(produced, url=new_database())
    dump = [server.programs / "pg_dump", "--format=custom", produced.url]
    copied = subprocess.run(dump, check=True, capture_output=True).stdout
    subprocess.run([server.programs / "pg_restore", f"--dbname={copy.url}"], input=copied, check=True)
    refused = copy.run("apply", "-e", "staging", BODY="mine")
    assert (refused.returncode, "environment 'production'" in refused.stderr) == (9, True)
    assert copy.run("apply", "-e", "staging", "--confirm", name_of(copy), BODY="mine").returncode == 0
    assert mark_of(copy) is None
    assert mark_of(produced) == "production"


def test_another_protected_environment_that_is_confirmed_takes_the_mark_over(produced: Project) -> None:
    produced.write(BOOTSTRAP.replace("staging: {}", "staging: {protected: true}"))
    assert produced.run("apply", "-e", "staging", BODY="mine").returncode == 9
    assert produced.run("apply", "-e", "staging", "--confirm", name_of(produced), BODY="mine").returncode == 0
    assert mark_of(produced) == "staging"
    assert produced.run("apply", "-e", "production", BODY="more").returncode == 9


def test_the_mark_holds_whatever_the_last_run_was(produced: Project) -> None:
    with psycopg.connect(produced.url) as connection:
        connection.execute("UPDATE bootstrapper.runs SET environment = 'development'")
    assert produced.run("apply", "-e", "development", BODY="mine").returncode == 9


def test_without_a_mark_the_last_run_tells(produced: Project) -> None:
    unmark(produced)
    refused = produced.run("apply", "-e", "staging", BODY="mine")
    assert (refused.returncode, "was last written by a run of the protected" in refused.stderr) == (9, True)
    assert produced.run("apply", "-e", "production", BODY="more").returncode == 0
    assert mark_of(produced) == "production"


def test_a_database_is_marked_by_hand(project: Project) -> None:
    project.write(BOOTSTRAP)
    done = project.run("environment", "set", "staging", BODY="x")
    assert (done.returncode, "belongs to environment staging (by postgres on " in done.stderr) == (0, True)
    again = project.run("environment", "set", "staging", BODY="x")
    assert (again.returncode, "nothing to do" in again.stderr) == (0, True)
    assert project.run("apply", "-e", "development", BODY="x").returncode == 9
    assert project.run("environment", "set", "elsewhere", BODY="x").returncode == 2


def test_marking_the_database_of_another_environment_is_confirmed_by_its_name(produced: Project) -> None:
    refused = produced.run("environment", "set", "staging", BODY="x")
    assert (refused.returncode, mark_of(produced)) == (9, "production")
    assert produced.run("environment", "set", "staging", "--confirm", "other", BODY="x").returncode == 9
    assert produced.run("environment", "set", "staging", "--confirm", name_of(produced), BODY="x").returncode == 0
    assert mark_of(produced) == "staging"


def test_a_freeze_of_the_database_of_another_environment_is_confirmed_by_its_name(produced: Project) -> None:
    for command in (("freeze", "x"), ("unfreeze",)):
        assert produced.run(*command, "-e", "staging", BODY="x").returncode == 9
        assert produced.run(*command, "-e", "staging", "--confirm", name_of(produced), BODY="x").returncode == 0


BACKING_UP = BOOTSTRAP.replace("  - uses: sql", "  - {uses: backup, check: never}\n  - uses: sql")


def test_a_restored_database_keeps_its_own_mark(project: Project) -> None:
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE notes (body text)")
    project.write(BACKING_UP)
    assert project.run("backup", "-e", "staging", BODY="live").returncode == 0
    assert project.run("apply", "-e", "production", "--skip", "backup", BODY="live").returncode == 0
    done = project.run("restore", "--latest", "-e", "production", "--confirm", name_of(project), BODY="live")
    assert done.returncode == 0, done.stderr
    assert (mark_of(project), notes(project)) == ("production", [])


def test_an_unmarked_database_takes_the_mark_of_the_backup(produced: Project) -> None:
    produced.write(BACKING_UP)
    assert produced.run("backup", "-e", "production", BODY="live").returncode == 0
    confirmed = ("--confirm", name_of(produced))
    assert produced.run("apply", "-e", "staging", "--skip", "backup", *confirmed, BODY="mine").returncode == 0
    assert mark_of(produced) is None
    assert produced.run("restore", "--latest", "-e", "staging", "--yes", BODY="mine").returncode == 0
    assert mark_of(produced) == "production"
    assert produced.run("apply", "-e", "staging", BODY="mine").returncode == 9
