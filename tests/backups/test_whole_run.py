"""Tests of backups, statements and programs as steps of a run."""

import sys
from pathlib import Path

import psycopg
import pytest

from bootstrapper.backups.stores.folder import backups
from bootstrapper.errors import NotConvergedError, StepFailedError
from tests.cli.project import Project
from tests.projects import TrialProject


def taken(project: TrialProject) -> list[Path]:
    return [backup.path for backup in backups(project.folder / "backups") if backup.verified]


def test_a_new_database_needs_no_backup_and_a_used_one_gets_one_before_its_changes(project: TrialProject) -> None:
    text = """
steps:
  - uses: lock
  - uses: backup
    when: {all: [{pending: [sql]}, {not: {database: empty}}]}
  - uses: sql
    with: {statement: "CREATE TABLE IF NOT EXISTS users (id int); INSERT INTO users VALUES (1)"}
    check: {sql: "SELECT count(*) >= %s FROM users"}
"""
    project.write(text.replace("%s", "1"))
    assert [step.name for step in project.apply().applied] == ["sql"]
    assert taken(project) == []
    project.write(text.replace("%s", "2"))
    assert [step.name for step in project.apply().applied] == ["backup", "sql"]
    assert len(taken(project)) == 1
    assert not project.apply().applied


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("s3://keeper:hidden@bucket/one.dump", "must be a local file"),
        ("file:///tmp/one.dump", "must be a local file"),
        ("", "must not be empty"),
        ("one.dump.age", "must be encrypted"),
    ],
)
def test_a_name_that_says_something_else_than_what_would_be_written_is_refused(
    database: str, tmp_path: Path, name: str, said: str
) -> None:
    project = Project(tmp_path, database)
    project.write('version: 1\nname: x\ndatabase: {url: "${DATABASE_URL}"}\nsteps: [{uses: lock}, {uses: backup}]\n')
    refused = project.run("backup", name)
    assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    assert "hidden" not in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bootstrap.yaml"]


def test_a_run_that_failed_after_its_backup_does_not_take_another(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: backup
  - uses: sql
    with: {statement: INSERT INTO users VALUES (1)}
    check: {table: users}
""")
    for _ in range(2):
        with pytest.raises(StepFailedError, match="users"):
            project.apply()
    assert len(taken(project)) == 1


COMMANDED = """\
version: 1
name: commanded
database: {url: "${DATABASE_URL}"}
environments: {development: {}, production: {}}
steps:
  - uses: lock
  - uses: backup
    with: {directory: backups, keep: 2}
    when: {all: [{pending: [people]}, {environment: [production]}]}
    check: {backup: {newer_than: 24h}}
  - uses: sql
    name: people
    with: {statement: "CREATE TABLE people (name text PRIMARY KEY)"}
    check: {table: people}
  - uses: seed
    with: {fixtures: [people]}
    when: {sql: "SELECT false"}
  - uses: seed
    name: demo
    with: {fixtures: [demo]}
    when: {all: [{sql: "SELECT false"}, {environment: [development]}]}
fixtures:
  people: {key: [name], rows: {ann: {name: Ann}}}
  demo: {table: people, key: [name], rows: {bob: {name: Bob}}}
"""


def test_the_command_backup_always_takes_one_by_the_rule_of_its_step(database: str, tmp_path: Path) -> None:
    project = Project(tmp_path, database)
    project.write(COMMANDED)
    for number in range(1, 4):
        said = project.run("backup", "-e", "development")
        assert said.returncode == 0, said.stderr
        assert "backup: ran backup of " in said.stderr
        assert len(backups(tmp_path / "backups")) == min(number, 2)
    assert "> backup" in project.run("backup", "-e", "development", "--dry-run").stdout
    assert "- backup" in project.run("plan", "-e", "development").stdout


def test_the_command_backup_does_not_take_that_of_an_unfinished_run_for_its_own(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: backup
  - uses: sql
    with: {statement: SELECT 1 / 0}
    check: {table: users}
""")
    with pytest.raises(StepFailedError):
        project.apply()
    assert Project(project.folder, project.database).run("backup").returncode == 0
    assert len(taken(project)) == 2


def test_the_command_seed_asks_when_only_where_its_step_belongs(database: str, tmp_path: Path) -> None:
    project = Project(tmp_path, database)
    project.write(COMMANDED)
    assert project.run("apply", "-e", "production", "--skip", "backup").returncode == 0
    names = "SELECT coalesce(string_agg(name, ' ' ORDER BY name), '') FROM people"
    for arguments, there in (
        (["seed", "-e", "production"], "Ann"),
        (["seed", "-e", "production", "--step", "demo"], "Ann Bob"),
    ):
        said = project.run(*arguments)
        assert said.returncode == 0, said.stderr
        with psycopg.connect(database) as connection:
            assert connection.execute(names.encode()).fetchone() == (there,)


def test_a_backup_that_is_young_enough_is_not_repeated(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: backup
    check: {backup: {newer_than: 24h}}
""")
    assert [step.name for step in project.apply().applied] == ["backup"]
    assert not project.apply().applied


def test_a_statement_marked_once_is_run_once(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: sql
    with: {statement: CREATE TABLE users (id int)}
    check: {once: users-table}
""")
    assert project.apply().applied
    assert not project.apply().applied


def test_a_command_that_always_runs_writes_to_the_runs_database(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: sql
    with: {statement: CREATE TABLE visits (n int)}
    check: {table: visits}
  - uses: command
    with: {run: [python3, visit.py]}
    check: never
""")
    project.write(
        "import os, psycopg\n"
        "with psycopg.connect(os.environ['DATABASE_URL']) as connection:\n"
        "    connection.execute('INSERT INTO visits VALUES (1)')\n",
        "visit.py",
    )
    project.variables["PATH"] = str(Path(sys.executable).parent)
    for count in (1, 2):
        assert project.apply().applied[-1].name == "command"
        assert project.rows("SELECT count(*) FROM visits") == [(count,)]


def test_a_command_that_does_not_do_what_its_check_asks_is_not_believed(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: command
    with: {run: "true"}
    check: {table: users}
""")
    project.variables["PATH"] = "/usr/bin:/bin"
    with pytest.raises(NotConvergedError, match="table users does not exist"):
        project.apply()


def test_an_index_built_outside_a_transaction_is_built_and_checked(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: sql
    with: {statement: "CREATE TABLE users (id int)"}
    check: {table: users}
  - uses: sql
    name: index
    with: {statement: "CREATE INDEX CONCURRENTLY by_id ON users (id)", transaction: false}
    check: {sql: "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('by_id')"}
""")
    assert [step.name for step in project.apply().applied] == ["sql", "index"]
    assert not project.apply().applied
