"""Tests of `status`, which prints everything known even if an error remains."""

from __future__ import annotations

import json
import os
import re

import psycopg
import pytest

from bootstrapper.backups.take import dump
from bootstrapper.errors import ClientToolsError
from tests.cli.project import Project
from tests.cli.pseudoterminal import on_terminal
from tests.migrations.projects import create_table, write_env, write_revision

BOOTSTRAP = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
steps:
  - {uses: wait, with: {timeout: 5s}}
  - uses: lock
  - uses: backup
  - uses: migrate
    with: {script_location: migrations}
    check: {revision: head}
  - uses: seed
fixtures:
  notes: {key: [id], rows: {one: {id: 1}, two: {id: 2}}}
"""


@pytest.fixture
def migrated(project: Project) -> Project:
    """A project at revision first, with both rows."""
    project.write(BOOTSTRAP)
    write_env(project.folder)
    write_revision(project.folder, "first", upgrade=create_table("notes"))
    done = project.run("apply")
    assert done.returncode == 0, done.stderr
    return project


def line_of(shown: str, step: str) -> str:
    """Returns the line of a step, with single spaces."""
    (line,) = [line for line in shown.splitlines() if line[2:].startswith(f"{step} ")]
    return " ".join(line.split())


def without_age(shown: str) -> str:
    return re.sub(r", \S+ m?s old", "", shown)


def execute(project: Project, statement: str) -> None:
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_status_lists_pending_changes(migrated: Project) -> None:
    for number in range(2, 9):
        before = "first" if number == 2 else f"r{number - 1}"
        write_revision(migrated.folder, f"r{number}", before)
    execute(migrated, "DELETE FROM notes WHERE id = 2")
    shown = migrated.run("status", COLUMNS="200").stdout
    assert "revision r2, revision r3, revision r4, revision r5, revision r6, and 2 more" in shown
    assert "notes two" in shown


def test_status_after_a_failure_prints_the_reason_in_one_line(migrated: Project) -> None:
    write_revision(migrated.folder, "second", "first", upgrade="op.execute('SELECT broken')")
    assert migrated.run("apply").returncode == 1
    shown = migrated.run("status", COLUMNS="500").stdout
    (line,) = [line for line in shown.splitlines() if line.startswith("last run:")]
    assert "number 2, apply, failed, started" in line
    assert 'revision second: column "broken" does not exist (SQLSTATE 42703)' in line
    assert "revision second" in shown.partition("last run:")[0]


def test_status_with_two_heads_prints_the_other_steps_and_then_the_error(migrated: Project) -> None:
    write_revision(migrated.folder, "left", "first")
    write_revision(migrated.folder, "right", "first")
    done = migrated.run("status")
    assert done.returncode == 2
    assert line_of(done.stdout, "migrate") == "? migrate unknown: bootstrap.yaml:10:23: there are 2 heads: left, right"
    assert line_of(done.stdout, "seed") == "= seed done: as declared"
    assert "last run: number 1, apply, done" in done.stdout
    assert done.stdout.endswith("1 to run. State unknown: migrate.\n")
    assert done.stderr.splitlines()[-2].endswith("there are 2 heads: left, right")


def test_status_names_the_run_that_applied_an_unknown_revision(migrated: Project) -> None:
    file = write_revision(migrated.folder, "second", "first")
    assert migrated.run("apply").returncode == 0
    file.unlink()
    done = migrated.run("status")
    assert done.returncode == 10
    assert "is at revision second, which " in done.stderr
    assert "migrations does not have; run number 2 (apply, bootstrapper" in done.stderr
    assert line_of(done.stdout, "seed") == "= seed done: as declared"
    as_data = json.loads(migrated.run("status", "--format", "json").stdout)
    assert [(error["code"], error["exit_code"]) for error in as_data["errors"]] == [("BOOT-1001", 10)]
    assert [step["state"] for step in as_data["plan"]["steps"]][3] == "unknown"


def test_status_without_a_ledger_prints_an_unknown_revision_without_its_run(migrated: Project) -> None:
    execute(migrated, "UPDATE alembic_version SET version_num = 'strange'")
    execute(migrated, "DROP SCHEMA bootstrapper CASCADE")
    done = migrated.run("status")
    assert done.returncode == 10
    assert "migrations does not have\n" in done.stderr
    assert "last run: none" in done.stdout


def test_status_does_not_require_pg_dump(migrated: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise ClientToolsError("pg_dump", 18, (), ("PATH",))

    monkeypatch.setattr(dump, "find_client", missing)
    assert migrated.run("plan").returncode == 1
    done = migrated.run("status")
    assert (done.returncode, "no pg_dump" in done.stderr) == (0, False)


def test_status_does_not_require_a_primary(migrated: Project) -> None:
    name = migrated.url.rpartition("/")[2]
    execute(migrated, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    assert migrated.run("plan", "--timeout", "300ms").returncode == 5
    done = migrated.run("status")
    assert done.returncode == 0, done.stderr
    assert line_of(done.stdout, "migrate").startswith("= migrate done")


def test_status_prints_the_other_steps_if_one_check_fails(migrated: Project) -> None:
    step = "  - {uses: sql, with: {statement: SELECT 1}, check: {sql: SELECT 1/0}}\n"
    migrated.write(BOOTSTRAP.replace("  - uses: seed\n", f"{step}  - uses: seed\n"))
    done = migrated.run("status", COLUMNS="200")
    assert done.returncode == 1
    assert (
        line_of(done.stdout, "sql") == "? sql unknown: check sql cannot be evaluated: division by zero (SQLSTATE 22012)"
    )
    assert line_of(done.stdout, "seed") == "= seed done: as declared"


@pytest.mark.smoke
def test_status_prints_the_last_run_and_the_lock(project: Project) -> None:
    assert "last run: none" in project.run("status").stdout
    project.run("apply")
    text = project.run("status").stdout
    assert "last run: number 1, apply, done" in text
    assert "lock: free" in text
    assert text.rstrip().endswith("Nothing to do.")


@pytest.mark.smoke
def test_status_keeps_its_columns_on_a_narrow_terminal(project: Project) -> None:
    assert project.run("apply").returncode == 0
    lines = on_terminal(project, ["status", "--no-color"], COLUMNS="50")[0].splitlines()
    shown = lines[lines.index("sample") :]
    assert [line for line in shown[2:] if len(line) > 50] == []
    notes = next(number for number, line in enumerate(shown) if line.startswith("= notes (sql)"))
    assert shown[notes + 1] == " " * 20 + "exists"


@pytest.mark.smoke
def test_status_as_json_has_the_same_facts(project: Project) -> None:
    project.run("apply")
    said = json.loads(project.run("status", "--format", "json").stdout)
    assert said["last_run"]["command"] == "apply"
    assert said["holder"] is None
    assert said["plan"]["name"] == "sample"


def test_status_prints_revisions_fixtures_and_the_last_backup(migrated: Project) -> None:
    for backup in (migrated.folder / "backups").iterdir():
        backup.unlink()
    shown = migrated.run("status", COLUMNS="200").stdout
    assert "\nrevision: first (head)\nfixtures: 1 in sync\nlast backup: none\n" in shown
    write_revision(migrated.folder, "second", "first")
    execute(migrated, "DELETE FROM notes WHERE id = 2")
    assert migrated.run("backup").returncode == 0
    lines = migrated.run("status", COLUMNS="200").stdout.splitlines()
    assert "revision: first, head is second" in lines
    assert "fixtures: 1 drifted: notes (1 to create)" in lines
    (line,) = [line for line in lines if line.startswith("last backup: ")]
    assert re.search(r"^last backup: test_.*\.dump, \S+ m?s old$", line)
    data = json.loads(migrated.run("status", "--format", "json").stdout)
    assert data["revisions"] == [{"step": "migrate", "current": ["first"], "heads": ["second"], "at_head": False}]
    assert data["fixtures"] == [
        {"name": "notes", "step": "seed", "state": "drifted", "create": 1, "update": 0, "delete": 0}
    ]
    assert (data["pending"]["create"], data["last_backup"]["file"].endswith(".dump")) == (1, True)


def test_status_counts_each_kind_of_difference_of_each_fixture(project: Project) -> None:
    project.write(
        "version: 1\nname: sample\ndatabase: {url: '${DATABASE_URL}'}\nsteps: [{uses: lock}, {uses: seed}]\nfixtures:\n"
        "  a: {key: [id], mode: sync, where: 'true', rows: [{id: 1, n: 1}, {id: 2, n: 2}]}\n"
        "  b: {key: [id], rows: [{id: 1, n: 1}]}\n"
    )
    execute(project, "CREATE TABLE a (id int PRIMARY KEY, n int); CREATE TABLE b (LIKE a INCLUDING ALL)")
    execute(project, "INSERT INTO a VALUES (2, 3), (7, 7), (8, 8); INSERT INTO b VALUES (1, 5)")
    assert (
        "fixtures: 1 drifted, 1 in sync: a (1 to create, 1 to update, 2 to delete)\n"
        in project.run("status", COLUMNS="200").stdout
    )


def test_status_does_not_claim_that_fixtures_were_compared(project: Project) -> None:
    project.write(
        "version: 1\ndatabase: {url: '${DATABASE_URL}'}\nsteps:\n"
        "  - uses: lock\n  - {uses: seed, check: {sql: SELECT true}}\n"
        "fixtures: {a: {key: [id], rows: [{id: 1}]}}\n"
    )
    execute(project, "CREATE TABLE a (id int PRIMARY KEY)")
    assert "fixtures: 1 not compared\n" in project.run("status").stdout


def test_status_exits_with_4_on_request_if_changes_are_pending(migrated: Project) -> None:
    migrated.write(BOOTSTRAP.replace("  - uses: backup\n", ""))
    assert migrated.run("status", "--exit-code").returncode == 0
    execute(migrated, "DELETE FROM notes")
    assert migrated.run("status", "--exit-code").returncode == 4
    assert migrated.run("status").returncode == 0
    execute(migrated, "UPDATE alembic_version SET version_num = 'strange'")
    assert migrated.run("status", "--exit-code").returncode == 10


def test_status_for_a_role_that_may_only_read_tells_the_same(migrated: Project) -> None:
    role = f"reader_{os.getpid()}"
    execute(migrated, f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    try:
        execute(migrated, f"GRANT USAGE ON SCHEMA bootstrapper TO {role}")
        execute(migrated, f"GRANT SELECT ON ALL TABLES IN SCHEMA bootstrapper, public TO {role}")
        execute(migrated, "DELETE FROM notes WHERE id = 2")
        address, _, rest = migrated.url.rpartition("@")
        reader = Project(migrated.folder, f"{address.partition('://')[0]}://{role}:p@{rest}")
        ours, theirs = migrated.run("status", "--exit-code"), reader.run("status", "--exit-code")
        assert (theirs.returncode, without_age(theirs.stdout)) == (4, without_age(ours.stdout))
        execute(migrated, f"REVOKE SELECT ON bootstrapper.steps, alembic_version FROM {role}")
        refused = reader.run("status")
        assert refused.returncode == 6
        assert "last run: unknown\nlock: unknown" in refused.stdout
    finally:
        execute(migrated, f"DROP OWNED BY {role}; DROP ROLE {role}")
