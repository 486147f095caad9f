"""Tests that the commands about revisions make exactly the changes they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrapper.errors import GuardError, MigrationError
from bootstrapper.migrations.commands.downgrade import Downgrade
from bootstrapper.migrations.commands.new_revision import NewRevision, Written
from bootstrapper.migrations.commands.stamp import Stamp
from bootstrapper.plans import Change, Deferred
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.step import Step
from tests.migrations.contexts import Trial, trial
from tests.migrations.projects import create_table, write_env, write_revision


def write_two_revisions(directory: Path) -> None:
    write_env(directory)
    write_revision(directory, "first", upgrade=create_table("a"))
    write_revision(directory, "second", "first", upgrade=create_table("b"))


def changes_of(step: Step, migrate: Trial) -> Sequence[Change | Deferred]:
    with migrate.context.session.read_only():
        return step.changes(Context(migrate.context))


def test_a_revision_added_after_the_plan_is_not_applied(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate, migrate.held() as hold:
        changes = migrate.changes()
        write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
        with pytest.raises(MigrationError, match="would run revision second, which was not planned"):
            migrate.step.apply(Context(replace(migrate.context, hold=hold)), changes)
        assert migrate.query("SELECT to_regclass('a'), to_regclass('b')") == [(None, None)]


LOOP = """
from alembic import context
from sqlalchemy import create_engine
import os

with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    for schema in ("public", "late"):
        connection.exec_driver_sql(f"SET search_path TO {schema}")
        connection.commit()
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""


def test_an_env_py_that_loops_over_schemas_brings_each_from_where_it_is(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    (tmp_path / "migrations" / "env.py").write_text(LOOP)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.query("CREATE SCHEMA late")
        migrate.apply()
        migrate.query("DROP TABLE late.a, late.alembic_version")
        write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
        migrate.apply()
        assert migrate.query("SELECT to_regclass('b') IS NULL, to_regclass('late.a') IS NULL") == [(False, False)]
        assert migrate.query("SELECT version_num FROM late.alembic_version") == [("second",)]


def test_a_downgrade_reverts_no_revision_that_was_not_planned(tmp_path: Path, database: str) -> None:
    write_two_revisions(tmp_path)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        downgrade = Downgrade("migrate", migrate.step.options, None, "base")
        changes = changes_of(downgrade, migrate)
        assert [change.target for change in changes if isinstance(change, Change)] == [
            "revision second",
            "revision first",
        ]
        with migrate.held() as hold, pytest.raises(MigrationError, match="revision first, which was not planned"):
            downgrade.apply(Context(replace(migrate.context, hold=hold)), changes[:1])
        assert migrate.query("SELECT version_num FROM alembic_version") == [("second",)]


def test_a_stamp_is_refused_if_the_version_rows_changed_after_the_plan(tmp_path: Path, database: str) -> None:
    write_two_revisions(tmp_path)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        stamp = Stamp("migrate", migrate.step.options, None, "second")
        migrate.query("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        changes = changes_of(stamp, migrate)
        migrate.query("INSERT INTO alembic_version VALUES ('first')")
        with (
            migrate.held() as hold,
            pytest.raises(GuardError, match="at revision first, but was at base"),
            hold.transaction(),
        ):
            stamp.apply(Context(replace(migrate.context, hold=hold)), changes)
        assert migrate.query("SELECT version_num FROM alembic_version") == [("first",)]


def test_commands_without_changes_write_nothing(tmp_path: Path, database: str) -> None:
    write_two_revisions(tmp_path)
    files = set(tmp_path.rglob("*.py"))
    with trial(tmp_path, database, script_location="migrations") as migrate, migrate.held() as hold:
        context, options = Context(replace(migrate.context, hold=hold)), migrate.step.options
        with hold.transaction():
            Stamp("migrate", options, None, "second").apply(context, [])
        NewRevision("migrate", options, None, {"message": "third"}, Written()).apply(context, [])
        migrate.step.apply(context, [])
        assert migrate.query("SELECT to_regclass('alembic_version')") == [(None,)]
    assert set(tmp_path.rglob("*.py")) == files
