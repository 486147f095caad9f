"""First contact: a database with tables but no version is refused, stamped or adopted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from pydantic import ValidationError

from bootstrapper.deadline import Stop
from bootstrapper.errors import GuardError, MigrationError, RunInterrupted
from bootstrapper.migrations.schema import adoption
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plans import Change
from bootstrapper.plugin.context import Context
from tests.migrations.contexts import trial
from tests.migrations.projects import create_table, write_env, write_revision
from tests.projects import TrialProject
from tests.waiting import at_most, eventually

pytestmark = pytest.mark.long

FIRST = "op.create_table('users', sa.Column('id', sa.Integer, primary_key=True), sa.Column('email', sa.String(50)))"


def write_history(directory: Path) -> None:
    write_env(directory)
    write_revision(directory, "first", upgrade=FIRST)
    write_revision(directory, "second", "first", upgrade=create_table("later"))


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def scratch_databases(url: str) -> list[tuple[object, ...]]:
    return execute(url, "SELECT datname FROM pg_database WHERE datname LIKE 'bootstrapper_scratch%'")


def test_tables_without_a_version_are_refused_with_a_hint_to_stamp_or_adopt(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    execute(database, "CREATE TABLE users (id int)")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        with pytest.raises(GuardError, match=r"has tables \(public.users\) but no Alembic version") as caught:
            migrate.changes()
        assert caught.value.hint is not None
        assert "stamp" in caught.value.hint
        assert "adopt" in caught.value.hint


def test_an_empty_version_table_counts_as_no_version(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    execute(database, "CREATE TABLE users (id int); CREATE TABLE alembic_version (version_num varchar(32))")
    with trial(tmp_path, database, script_location="migrations") as migrate, pytest.raises(GuardError):
        migrate.changes()


@pytest.mark.parametrize(
    "there",
    [
        "CREATE SCHEMA auth; CREATE TABLE auth.users (id int)",
        "CREATE VIEW one AS SELECT 1",
        "CREATE TABLE alembic_version (version_num varchar(32))",
    ],
)
def test_other_objects_and_other_schemas_are_not_a_reason_to_refuse(tmp_path: Path, database: str, there: str) -> None:
    write_history(tmp_path)
    execute(database, there)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        assert migrate.pending() == ["revision first", "revision second"]


def test_tables_created_after_the_ledger_are_accepted(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        with migrate.held():
            pass
        execute(database, "CREATE TABLE made_by_an_earlier_step (id int)")
        assert migrate.pending() == ["revision first", "revision second"]


def test_tables_created_before_the_ledger_are_refused(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    execute(database, "CREATE TABLE users (id int)")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        with migrate.held():
            pass
        with pytest.raises(GuardError):
            migrate.changes()


def test_tables_are_refused_if_the_version_table_is_in_another_schema(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    execute(database, "CREATE SCHEMA meta")
    execute(database, "CREATE TABLE users (id int)")
    options = {"script_location": "migrations", "version_table_schema": "meta"}
    with trial(tmp_path, database, **options) as migrate, pytest.raises(GuardError):
        migrate.changes()


def test_an_interrupted_first_revision_is_started_again(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    block = (
        "with op.get_context().autocommit_block():\n    op.execute('CREATE TABLE IF NOT EXISTS part (id integer)')\n"
    )
    first = write_revision(tmp_path, "first", upgrade=f"{block}op.execute('SELECT 1/0')")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        with pytest.raises(MigrationError):
            migrate.apply()
        first.write_text(first.read_text().replace("1/0", "1"))
        migrate.apply()
        assert migrate.changes() == []


def test_a_schema_equal_to_that_of_the_revisions_is_adopted_and_upgraded(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    execute(database, "CREATE TABLE users (id serial PRIMARY KEY, email varchar(50))")
    execute(database, "INSERT INTO users VALUES (7, 'a')")
    with trial(tmp_path, database, script_location="migrations", adopt="first") as migrate:
        assert migrate.pending() == ["adopt revision first", "revision second"]
        migrate.apply()
        assert migrate.changes() == []
        assert migrate.query("SELECT version_num FROM alembic_version") == [("second",)]
        assert migrate.query("SELECT id FROM users") == [(7,)]
    assert scratch_databases(database) == []


def test_a_schema_that_differs_is_not_adopted_and_the_differences_are_named(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    execute(database, "CREATE TABLE users (id serial PRIMARY KEY, email text)")
    with trial(tmp_path, database, script_location="migrations", adopt="first") as migrate:
        with pytest.raises(GuardError, match=r"(?s)not at revision first.*public\.users\.email.*varying\(50\).*text"):
            migrate.apply()
        assert migrate.query("SELECT to_regclass('alembic_version'), to_regclass('later')") == [(None, None)]
    assert scratch_databases(database) == []


def test_a_revision_that_creates_its_extension_is_adopted(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade='op.execute("CREATE EXTENSION pg_trgm")\n' + create_table("a"))
    execute(database, "CREATE EXTENSION pg_trgm")
    execute(database, "CREATE TABLE a (id integer)")
    with trial(tmp_path, database, script_location="migrations", adopt="head") as migrate:
        migrate.apply()
        assert migrate.query("SELECT version_num FROM alembic_version") == [("first",)]


def test_schemas_of_the_host_are_ignored_by_adoption(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    execute(database, "CREATE SCHEMA auth CREATE TABLE accounts (id int)")
    execute(database, "CREATE TABLE users (id serial PRIMARY KEY, email varchar(50))")
    with trial(tmp_path, database, script_location="migrations", adopt="first") as migrate:
        migrate.apply()
        assert migrate.query("SELECT version_num FROM alembic_version") == [("second",)]


def test_an_additional_table_prevents_adoption(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    execute(database, "CREATE TABLE users (id serial PRIMARY KEY, email varchar(50))")
    execute(database, "CREATE TABLE more (id int)")
    with (
        trial(tmp_path, database, script_location="migrations", adopt="first") as migrate,
        pytest.raises(GuardError, match=r"table public\.more: not expected"),
    ):
        migrate.apply()


def test_nothing_is_repaired_before_the_comparison(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    execute(database, "CREATE TABLE users (id int)")
    execute(database, "ALTER TABLE users ADD CONSTRAINT positive CHECK (id > 0) NOT VALID")
    with trial(tmp_path, database, script_location="migrations", adopt="first", repair=True) as migrate:
        with pytest.raises(GuardError, match="is not at revision first"):
            migrate.apply()
        assert migrate.query("SELECT convalidated FROM pg_constraint WHERE conname = 'positive'") == [(False,)]


def test_adopt_has_no_effect_once_there_is_a_version(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
    with trial(tmp_path, database, script_location="migrations", adopt="first") as migrate:
        assert migrate.changes() == []


def test_tables_are_accepted_beside_another_history_with_a_version(
    tmp_path: Path, new_database: Callable[[], str]
) -> None:
    url = new_database()
    write_history(tmp_path)
    with trial(tmp_path, url, script_location="migrations") as first:
        first.apply()
        execute(url, "DROP SCHEMA bootstrapper CASCADE")
        options = MigrationSettings.model_validate({"script_location": "migrations", "version_table": "other"})
        first.context.project.steps["second"] = type(first.step)("second", options)  # type: ignore[index]
        second = type(first.step)("second", options)
        with first.context.session.read_only():
            found = second.changes(Context(first.context))
        assert [item.target for item in found if isinstance(item, Change)] == ["revision first", "revision second"]


def test_tables_of_another_history_in_the_file_do_not_prevent_adoption(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    execute(database, "CREATE TABLE users (id serial PRIMARY KEY, email varchar(50))")
    execute(database, "CREATE TABLE of_the_other_history (id int)")
    with trial(tmp_path, database, script_location="migrations", adopt="first") as migrate:
        options = MigrationSettings.model_validate({"script_location": "others", "version_table": "other"})
        migrate.context.project.steps["second"] = type(migrate.step)("second", options)  # type: ignore[index]
        migrate.apply()
        assert migrate.query("SELECT version_num FROM alembic_version") == [("second",)]


@pytest.mark.parametrize("option", ["version_table", "version_table_schema"])
def test_a_percent_sign_in_the_name_of_the_version_table_is_refused(option: str) -> None:
    with pytest.raises(ValidationError, match="must not contain %"):
        MigrationSettings.model_validate({option: "a%b"})


def test_a_request_to_stop_ends_a_statement_in_the_scratch_database(
    project: TrialProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_history(project.folder)
    project.rows("CREATE TABLE users (id serial PRIMARY KEY, email varchar(50))")
    project.write("steps: [{uses: lock}, {uses: migrate, with: {script_location: migrations, adopt: first}}]\n")

    def slow(connection: psycopg.Connection[object], *_: object) -> dict[str, str]:
        connection.execute("SELECT pg_sleep(600)")
        return {}

    monkeypatch.setattr(adoption, "describe", slow)
    stop = Stop()
    sleeping = (
        "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND datname LIKE 'bootstrapper_scratch%'"
    )
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(project.apply, stop=stop)
        assert eventually(lambda: project.rows(sleeping), 30)
        stop.set()
        assert isinstance(running.exception(at_most(4)), RunInterrupted)
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("interrupted",)]
    assert not project.has("alembic_version")
