"""Tests of `transaction_per_migration: false`: all revisions in one transaction, as with plain Alembic."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from bootstrapper.errors import FencedOffError, MigrationError
from tests.cli.project import Project
from tests.migrations.contexts import trial
from tests.migrations.projects import ENV, create_table, write_env, write_revision
from tests.migrations.worker.test_runner import TAKE_OVER, apply_directly, tables, when_reported

NUMBER = 'print("number", op.get_bind().exec_driver_sql("SELECT pg_current_xact_id()::text").scalar())'
SWALLOWS = """        try:
            context.run_migrations()
        except Exception:
            connection.rollback()
"""
MIGRATES = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: migrations%s}
"""
ONE = {"script_location": "migrations", "transaction_per_migration": False}


def test_all_revisions_and_their_ledger_rows_are_one_transaction(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=f"{create_table('a')}\n{NUMBER}")
    write_revision(tmp_path, "second", "first", upgrade=NUMBER)
    with trial(tmp_path, database, **ONE) as migrate:
        migrate.apply()
        assert len(set(migrate.lines)) == 1
        assert migrate.changes() == []
        noted = migrate.query("SELECT revision, action FROM bootstrapper.revisions ORDER BY id")
        assert noted == [("first", "upgrade"), ("second", "upgrade")]
        assert len(migrate.query("SELECT DISTINCT xmin FROM bootstrapper.revisions")) == 1
        assert migrate.progress == [(0, 2), (1, 2), (2, 2)]


def test_a_failing_revision_rolls_all_back(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade="op.execute('SELECT 1/0')")
    with trial(tmp_path, database, **ONE) as migrate:
        with pytest.raises(MigrationError) as caught:
            migrate.apply()
        assert caught.value.revision == "second"
        assert migrate.pending() == ["revision first", "revision second"]
        assert migrate.progress == [(0, 2)]
    assert tables(database) == set()


def test_a_revision_whose_error_env_py_swallows_is_not_reported_as_applied(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, ENV.replace("        context.run_migrations()", SWALLOWS))
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade="op.execute('SELECT 1/0')")
    with trial(tmp_path, database, **ONE) as migrate:
        with pytest.raises(MigrationError):
            migrate.apply()
        assert migrate.progress == [(0, 2)]


def test_the_transaction_is_retried_as_a_whole_after_a_lock_timeout(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("CREATE SCHEMA other CREATE TABLE busy (id integer)")
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade="op.execute('ALTER TABLE other.busy ADD more integer')")
    with psycopg.connect(database) as reader, trial(tmp_path, database, **ONE, lock_timeout="100ms") as migrate:
        reader.execute("SELECT * FROM other.busy")
        when_reported(migrate, "retrying in", reader.rollback)
        migrate.apply()
        assert migrate.changes() == []
        assert migrate.progress[-1] == (2, 2)


def test_no_other_session_gets_the_lock_between_two_revisions(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    rival = f"""
import psycopg, os
with psycopg.connect({database!r}) as rival:
    rival.execute("SET lock_timeout = '200ms'")
    try:
        rival.execute({TAKE_OVER!r})
    except psycopg.errors.LockNotAvailable:
        print("not available")
"""
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade=rival)
    with trial(tmp_path, database, **ONE) as migrate:
        migrate.apply()
        assert migrate.lines == ["not available"]
        assert migrate.changes() == []


def test_a_lock_taken_over_before_prevents_all_revisions(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
    with trial(tmp_path, database, **ONE) as migrate, migrate.held() as hold:
        migrate.query(TAKE_OVER)
        with pytest.raises(FencedOffError):
            apply_directly(migrate, hold)
    assert tables(database) == set()


def test_an_autocommit_block_commits_earlier_revisions(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    block = "with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY a_id ON a (id)')"
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade=block)
    write_revision(tmp_path, "third", "second", upgrade="op.execute('SELECT 1/0')")
    with trial(tmp_path, database, **ONE) as migrate:
        with pytest.raises(MigrationError):
            migrate.apply()
        assert migrate.query("SELECT version_num FROM alembic_version") == [("first",)]
        write_revision(tmp_path, "third", "second")
        write_revision(tmp_path, "second", "first")
        migrate.apply()
        assert migrate.changes() == []


def test_a_downgrade_is_one_transaction(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    for name, down in (("first", None), ("second", "first")):
        file = write_revision(tmp_path, name, down)
        file.write_text(file.read_text().replace("def downgrade():\n    pass", f"def downgrade():\n    {NUMBER}"))
    project = Project(tmp_path, database)
    project.write(MIGRATES.replace("%s", ", transaction_per_migration: false"))
    assert project.run("apply").returncode == 0
    down = project.run("downgrade", "base", "--yes")
    assert down.returncode == 0, down.stderr
    numbers = [line.split()[-1] for line in down.stderr.splitlines() if "number" in line]
    assert len(numbers) == 2
    assert len(set(numbers)) == 1
