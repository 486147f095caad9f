"""Tests of hints: the state after a failure, and what to do."""

from __future__ import annotations

import re

import psycopg
import pytest

from bootstrapper.errors import ExitCode
from tests.cli.project import Project
from tests.migrations.projects import create_table, write_env, write_revision
from tests.waiting import at_most

HEAD = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
steps:
  - {uses: wait, with: {timeout: 15s}}
  - uses: lock
"""
MIGRATE = "  - {uses: migrate, with: {script_location: migrations, ddl_retries: 0, lock_timeout: 100ms}}\n"


def hint_of(error: str) -> str:
    """Returns the hint of the error, which is the last line, without the code at its end."""
    return re.sub(r" \[BOOT-\d+\]$", "", error.splitlines()[-1].removeprefix("hint: "))


@pytest.fixture
def migrating(project: Project) -> Project:
    """A project at its first revision, with a verified backup before each migration."""
    project.write(HEAD + "  - {uses: backup, check: never}\n" + MIGRATE)
    write_env(project.folder)
    write_revision(project.folder, "r1", upgrade=create_table("a"))
    assert project.run("apply").returncode == 0
    return project


def test_the_hint_of_a_rolled_back_revision_does_not_advise_a_restore(migrating: Project) -> None:
    write_revision(migrating.folder, "r2", "r1", upgrade="op.execute('DROP TABLE a')\nop.execute('SELECT broken')")
    done = migrating.run("apply")
    assert done.returncode == ExitCode.FAILED
    assert hint_of(done.stderr) == (
        "Revision r2 was rolled back; the database is at r1 as before. Correct the cause and apply again."
    )


def test_the_hint_of_a_lock_timeout_does_not_advise_a_restore(migrating: Project) -> None:
    write_revision(migrating.folder, "r2", "r1", upgrade="op.execute('ALTER TABLE a ADD COLUMN b int')")
    with psycopg.connect(migrating.url) as reader:
        reader.execute("SELECT * FROM a")
        done = migrating.run("apply")
    assert "Revision r2 was rolled back; the database is at r1 as before. Apply again." in hint_of(done.stderr)
    assert "restore" not in done.stderr


def test_the_hint_of_a_failed_login_in_env_py_does_not_advise_a_restore(migrating: Project) -> None:
    write_revision(migrating.folder, "r2", "r1", upgrade=create_table("b"))
    env = migrating.folder / "migrations/env.py"
    env.write_text(
        env.read_text()
        .replace("create_engine(", "create_engine('postgresql+psycopg://guest:x@'+")
        .replace(
            'context.config.get_main_option("sqlalchemy.url")',
            'context.config.get_main_option("sqlalchemy.url").partition("@")[2]',
        )
    )
    done = migrating.run("apply")
    assert hint_of(done.stderr) == (
        "No revision is half applied; the database is at r1 as before. Correct the cause and apply again."
    )


def test_the_hint_of_a_rolled_back_downgrade_names_the_revision(migrating: Project) -> None:
    file = next((migrating.folder / "migrations/versions").glob("r1*"))
    file.write_text(
        file.read_text().replace("def downgrade():\n    pass", "def downgrade():\n    op.execute('SELECT broken')")
    )
    done = migrating.run("downgrade", "base", "--yes")
    assert hint_of(done.stderr).startswith("The downgrade of r1 was rolled back; the database is at r1 as before.")


def test_a_rolled_back_step_is_printed_as_such(project: Project) -> None:
    project.write(HEAD + "  - {uses: sql, with: {statement: SELECT 1/0}, check: never}\n")
    said = project.run("apply").stderr
    assert "; rolled back" in said


def test_the_hint_of_a_statement_outside_a_transaction_says_what_is_committed(project: Project) -> None:
    statements = "CREATE TABLE kept (id int); SELECT 1/0"
    project.write(f"{HEAD}  - {{uses: sql, with: {{statement: {statements}, transaction: false}}, check: never}}\n")
    done = project.run("apply")
    assert hint_of(done.stderr) == "The statements before it are committed and stay."
    assert "rolled back" not in done.stderr


def test_the_hint_of_a_failed_program_says_what_remains(project: Project) -> None:
    project.write(HEAD + "  - {uses: command, with: {run: [sh, -c, exit 3]}, check: never}\n")
    done = project.run("apply")
    assert hint_of(done.stderr).startswith("What it did until then stays; ")
    assert "rolled back" not in done.stderr


def test_a_retried_step_is_named_once(project: Project) -> None:
    with psycopg.connect(project.url, autocommit=True) as setup:
        setup.execute("CREATE TABLE a (id int PRIMARY KEY)")
        setup.execute(
            "CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE EXCEPTION 'serialize' USING ERRCODE = '40001'; END$$"
        )
        setup.execute("CREATE TRIGGER busy BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION busy()")
    project.write(HEAD + "  - uses: seed\nfixtures: {a: {key: [id], rows: [{id: 1}]}}\n")
    said = project.run("apply", "--timeout", f"{at_most(1):.0f}s").stderr
    assert "warning: step 'seed': serialize" in said
    assert "step 'seed': step 'seed':" not in said


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("postgresql://nowhere.invalid/x", "Correct the host of the database, or the name server of this machine."),
        ("postgresql://127.0.0.1:1/x", "Start the server, or correct host and port of the database."),
        ("postgresql:///x?host=/nowhere", "Start the server, or correct the folder of its socket and the port."),
    ],
)
def test_the_hint_for_an_unreachable_server_says_what_to_correct(offline: Project, url: str, advice: str) -> None:
    offline.write(HEAD.replace("15s", "300ms"))
    hint = hint_of(offline.run("wait", "--timeout", "15s", DATABASE_URL=url).stderr)
    assert hint == f"{advice} `timeout` of step 'wait' limits the wait to 300 ms."


def test_the_hint_for_exhausted_connections_is_not_to_start_the_server(project: Project) -> None:
    with psycopg.connect(project.url, autocommit=True) as admin:
        admin.execute("CREATE ROLE without_any LOGIN PASSWORD 'pw' CONNECTION LIMIT 0")
        try:
            project.write(HEAD.replace("15s", "2s"))
            address = project.url.replace("postgres:correct%20horse", "without_any:pw")
            said = project.run("wait", DATABASE_URL=address)
        finally:
            admin.execute("DROP ROLE without_any")
    assert said.returncode == 5, said.stderr
    assert ("too many connections" in said.stderr, "SQLSTATE 53300" in said.stderr) == (True, True)
    assert hint_of(said.stderr).startswith("Close connections that are not in use, or let the role and the server have")


def test_a_plan_warns_that_the_role_cannot_create_the_ledger_with_the_grant(project: Project) -> None:
    with psycopg.connect(project.url, autocommit=True) as admin:
        admin.execute("CREATE ROLE without_create LOGIN PASSWORD 'pw'")
        try:
            project.write(HEAD + "  - {uses: sql, with: {statement: SELECT 1}, check: never}\n")
            address = project.url.replace("postgres:correct%20horse", "without_create:pw")
            planned, applied = (project.run(command, DATABASE_URL=address) for command in ("plan", "apply"))
            database = admin.info.dbname
        finally:
            admin.execute("DROP ROLE without_create")
    assert (planned.returncode, applied.returncode) == (0, 6), planned.stderr
    assert (
        "role 'without_create' may not create the ledger's schema 'bootstrapper': it will be refused" in planned.stderr
    )
    for said in (planned, applied):
        assert f'GRANT CREATE ON DATABASE "{database}" TO "without_create"' in said.stderr


def test_the_hint_names_the_limit_that_ended_the_wait(offline: Project) -> None:
    offline.write(HEAD)
    assert "--timeout or `limits`" in hint_of(offline.run("wait", "--timeout", "300ms").stderr)
