"""Tests of `lock show` and `lock break` against a running apply."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from bootstrapper.postgres.ledger.run_ids import uuid7
from tests.cli.project import BOOTSTRAP, Project
from tests.waiting import at_most, eventually

SLOW = """\
version: 1
name: slow
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
  - uses: sql
    name: slow
    with: {statement: "CREATE TABLE slow (); SELECT pg_sleep(60)"}
    check: {table: slow}
"""


def holder_of(project: Project) -> dict[str, object] | None:
    shown = project.run("lock", "show", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    holder = json.loads(shown.stdout)["holder"]
    assert holder is None or isinstance(holder, dict)
    return holder


@pytest.fixture
def running(project: Project) -> Iterator[subprocess.Popen[str]]:
    """An apply in its slow step."""
    project.write(SLOW)
    process = subprocess.Popen(
        project.command("apply"), cwd=project.folder, env=project.variables(), text=True, stderr=subprocess.PIPE
    )
    asleep = "SELECT 1 FROM pg_stat_activity WHERE query ~ 'pg_slee[p]'"
    with psycopg.connect(project.url, autocommit=True) as connection:
        assert eventually(lambda: process.poll() is not None or connection.execute(asleep).fetchone(), 20)
    assert process.poll() is None
    yield process
    process.kill()
    process.wait(at_most(10))
    assert process.stderr is not None
    process.stderr.close()


def test_a_free_lock_is_shown_as_free(project: Project) -> None:
    project.write()
    assert project.run("lock", "show").stdout == "free\n"
    assert project.run("apply").returncode == 0
    assert project.run("lock", "show").stdout == "free\n"


def test_show_prints_the_holder_of_the_lock(project: Project, running: subprocess.Popen[str]) -> None:
    holder = holder_of(project)
    assert holder is not None
    assert holder["pid"] == running.pid
    assert holder["mode"] == "direct"
    assert holder["connection"] == "active"


def test_break_takes_the_lock_and_the_run_cannot_write_any_more(
    project: Project, running: subprocess.Popen[str]
) -> None:
    holder = holder_of(project)
    assert holder is not None
    broken = project.run("lock", "break", str(holder["run_id"]))
    assert broken.returncode == 0, broken.stderr
    assert running.wait(at_most(30)) == 7
    assert holder_of(project) is None
    with psycopg.connect(project.url) as connection:
        assert connection.execute("SELECT to_regclass('slow')").fetchone() == (None,)


def test_break_refuses_any_other_run(project: Project, running: subprocess.Popen[str]) -> None:
    refused = project.run("lock", "break", str(uuid7()))
    assert refused.returncode == 9
    assert "not by" in refused.stderr
    assert running.poll() is None


def test_break_accepts_the_end_of_a_run_id(project: Project, running: subprocess.Popen[str]) -> None:
    run_id = json.loads(project.run("lock", "show", "--format", "json").stdout)["holder"]["run_id"]
    assert project.run("lock", "break", "0" * 8).returncode == 9
    broken = project.run("lock", "break", run_id[-8:].upper())
    assert (broken.returncode, f"held by run {run_id}" in broken.stderr) == (0, True)


def test_break_of_a_free_lock_is_refused(project: Project) -> None:
    project.write()
    refused = project.run("lock", "break", str(uuid7()))
    assert refused.returncode == 9
    assert "the lock is free" in refused.stderr


def test_break_requires_a_run_id(project: Project) -> None:
    project.write()
    for text in ("everything", "123", ""):
        assert project.run("lock", "break", text).returncode == 2


COMMAND = SLOW.replace(
    """  - uses: sql
    name: slow
    with: {statement: "CREATE TABLE slow (); SELECT pg_sleep(60)"}
    check: {table: slow}
""",
    """  - uses: command
    name: slow
    with: {run: [sleep, "60"]}
    check: never
""",
)


def test_a_run_whose_lock_is_broken_during_a_program_is_fenced_off(project: Project) -> None:
    project.write(COMMAND)
    process = subprocess.Popen(project.command("apply", "--quiet"), cwd=project.folder, env=project.variables())
    try:
        assert eventually(lambda: (holder := holder_of(project)) is not None and holder["step"] == "slow", 20)
        holder = holder_of(project)
        assert holder is not None
        assert project.run("lock", "break", str(holder["run_id"])).returncode == 0
        assert process.wait(at_most(30)) == 7
    finally:
        process.kill()
        process.wait(at_most(10))


def test_show_prints_the_running_step(project: Project, running: subprocess.Popen[str]) -> None:
    holder = holder_of(project)
    assert holder is not None
    assert holder["step"] == "slow"


def test_a_killed_holder_releases_the_lock_while_its_statement_is_still_running(
    project: Project, running: subprocess.Popen[str]
) -> None:
    running.kill()
    running.wait(at_most(10))
    project.write(SLOW.replace("SELECT pg_sleep(60)", "SELECT 1"))
    done = project.run("apply", "--timeout", f"{at_most(20):.0f}s")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def reader(project: Project) -> Iterator[Project]:
    """The project with the address of a role that lacks permission to read its ledger."""
    project.write()
    assert project.run("apply").returncode == 0
    role, parts = f"reader_{uuid7().hex[-12:]}", conninfo_to_dict(project.url)
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'".encode())
        yield replace(project, url=f"postgresql://{role}:p@{parts['host']}:{parts['port']}/{parts['dbname']}")
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def role_of(project: Project) -> str:
    return str(conninfo_to_dict(project.url)["user"])


@pytest.mark.parametrize("command", [("lock", "show"), ("lock", "break", "01a207f113ab"), ("history",)])
def test_a_role_that_cannot_read_the_ledger_gets_a_hint(reader: Project, command: tuple[str, ...]) -> None:
    ended = reader.run(*command)
    role = role_of(reader)
    assert (ended.returncode, ended.stdout) == (6, "")
    assert f"role {role} may not read the ledger: permission denied for schema bootstrapper" in ended.stderr
    assert f"hint: Name it in the file, `ledger: {{grant_to: [{role}]}}`" in ended.stderr


def test_status_is_unknown_if_the_role_cannot_read_the_ledger(reader: Project) -> None:
    ended = reader.run("status")
    assert ended.returncode == 6
    assert "last run: unknown\n" in ended.stdout
    assert "lock: unknown\n" in ended.stdout
    told = json.loads(reader.run("status", "--format", "json").stdout)
    assert (told["knows_ledger"], told["errors"][0]["exit_code"]) == (False, 6)


def test_a_role_added_to_grant_to_can_read_the_ledger_after_the_next_run(reader: Project, project: Project) -> None:
    role = role_of(reader)
    project.write(BOOTSTRAP.replace("steps:", f"ledger: {{grant_to: [{role}]}}\nsteps:"))
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("DELETE FROM notes")
    assert project.run("apply").returncode == 0
    assert reader.run("lock", "show").stdout == "free\n"
    refused = reader.run("lock", "break", "01a207f113ab")
    assert refused.returncode == 6
    assert f"role {role} may read the ledger, but not break the lock" in refused.stderr
