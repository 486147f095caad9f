"""migrate on real databases: what it plans, does, proves and refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bootstrapper.errors import AheadError, InvalidFileError, MigrationError
from bootstrapper.events import Warned
from bootstrapper.plans import Action, Deferred
from bootstrapper.postgres.connection.target import Target
from tests.migrations.contexts import trial
from tests.migrations.projects import ENV, create_table, write_env, write_revision
from tests.servers import Server

pytestmark = pytest.mark.smoke

REPOSITORY = Path(__file__).parents[3]

TOUCHES_NOTHING = "print('env.py was here')"
IS_NOT_AWAITED = "async def main():\n    pass\n\n\nmain()\n"
READS_FIRST = ENV.replace(
    "    context.configure(", "    connection.exec_driver_sql('SELECT 1')\n    context.configure("
)
OWN_VERSION_TABLE = ENV.replace("connection=connection", "connection=connection, version_table='our_version'")
PRIVATE_SCHEMA = ENV.replace("connection=connection", "connection=connection, version_table_schema='private'")


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows}


def test_pending_revisions_are_listed_in_order_with_message_and_file(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "b_second", "z_first")
    write_revision(tmp_path, "z_first")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        changes = migrate.changes()
        assert [change.target for change in changes] == ["revision z_first", "revision b_second"]
        assert changes[0].reason == "Step z_first"
        assert changes[0].after == {"file": "migrations/versions/z_first_.py"}


def test_version_rows_are_read_once_before_and_once_after_an_apply(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
        statements: list[str] = []
        execute = psycopg.Connection.execute

        def record(connection: psycopg.Connection[Any], query: Any, *args: Any, **options: Any) -> Any:
            statements.append(query.as_string(connection) if isinstance(query, sql.Composable) else str(query))
            return execute(connection, query, *args, **options)

        monkeypatch.setattr(psycopg.Connection, "execute", record)
        migrate.apply()
    assert len([text for text in statements if text.startswith("SELECT version_num")]) == 2


def test_apply_brings_the_database_to_head_and_leaves_nothing_pending(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert migrate.changes() == []
        assert migrate.query("SELECT version_num FROM alembic_version") == [("second",)]
        assert migrate.query("SELECT count(*) FROM a, b") == [(0,)]
        assert migrate.progress == [(0, 2), (1, 2), (2, 2)]


def test_the_sample_application_is_migrated_as_it_stands(database: str) -> None:
    with trial(REPOSITORY, database) as migrate:
        migrate.apply()
        assert migrate.changes() == []
        assert migrate.query("SELECT count(*) FROM tenants, users, documents, social_links, chats, sessions, messages")


def test_a_second_apply_starts_where_the_first_one_failed(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    broken = write_revision(tmp_path, "second", "first", upgrade=f"{create_table('b')}\nop.execute('SELECT 1/0')")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        with pytest.raises(MigrationError) as caught:
            migrate.apply()
        assert caught.value.revision == "second"
        assert caught.value.statement == "SELECT 1/0"
        assert caught.value.sqlstate == "22012"
        assert caught.value.reason == "division by zero"
        assert tables(database) == {"a", "alembic_version"}
        broken.write_text(broken.read_text().replace("1/0", "1"))
        assert migrate.pending() == ["revision second"]
        migrate.apply()
        assert tables(database) == {"a", "b", "alembic_version"}


def test_a_revision_that_the_code_does_not_have_is_refused_before_anything_is_done(
    tmp_path: Path, database: str
) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    newer = write_revision(tmp_path, "newer", "first")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        newer.unlink()
        write_revision(tmp_path, "other", "first", upgrade=create_table("b"))
        with pytest.raises(AheadError, match=r"is at revision newer, which .* does not have"):
            migrate.changes()


def test_an_env_py_with_another_database_is_stopped_before_it_writes_there(
    tmp_path: Path, new_database: Callable[[], str]
) -> None:
    ours, theirs = new_database(), new_database()
    fixed = Target.from_url(theirs).url("psycopg")
    write_env(tmp_path, ENV.replace('context.config.get_main_option("sqlalchemy.url")', repr(fixed)))
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, ours, script_location="migrations") as migrate:
        with pytest.raises(MigrationError) as caught:
            migrate.apply()
        assert f"env.py connected to {Target.from_url(theirs).where}" in caught.value.reason
        assert Target.from_url(ours).where in caught.value.reason
    assert tables(theirs) == set()


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (TOUCHES_NOTHING, "never made Alembic connect"),
        (IS_NOT_AWAITED, "never made Alembic connect"),
        (READS_FIRST, "connected to"),
    ],
)
def test_an_env_py_that_ends_well_and_did_nothing_is_an_error(
    tmp_path: Path, database: str, env: str, said: str
) -> None:
    write_env(tmp_path, env)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with (
        trial(tmp_path, database, script_location="migrations") as migrate,
        pytest.raises(MigrationError, match=said) as caught,
    ):
        migrate.apply()
    assert "with 1 revision pending" in caught.value.reason
    assert "a" not in tables(database)


def test_a_transaction_that_env_py_commits_itself_is_as_good(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, READS_FIRST + "    connection.commit()\n")
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
    assert {"a", "b"} < tables(database)


def test_the_version_table_may_have_another_name_and_schema(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, OWN_VERSION_TABLE)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations", version_table="our_version") as migrate:
        migrate.apply()
        assert migrate.changes() == []
        migrate.query("CREATE SCHEMA private")
    write_env(tmp_path, PRIVATE_SCHEMA)
    write_revision(tmp_path, "first", upgrade="pass")
    with trial(tmp_path, database, script_location="migrations", version_table_schema="private") as migrate:
        assert migrate.pending() == ["revision first"]
        migrate.apply()
        assert migrate.changes() == []


def test_a_version_table_that_only_env_py_knows_of_is_named_before_anything_is_done(
    tmp_path: Path, database: str
) -> None:
    write_env(tmp_path, OWN_VERSION_TABLE)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        with pytest.raises(MigrationError, match="'our_version', this step 'alembic_version'") as caught:
            migrate.apply()
        assert caught.value.hint is not None
        assert "version_table" in caught.value.hint
    assert tables(database) == set()


def test_a_setting_that_env_py_leaves_open_is_given_to_alembic(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first")
    with trial(tmp_path, database, script_location="migrations", version_table="chosen_here") as migrate:
        migrate.apply()
    assert tables(database) == {"chosen_here"}


def test_two_heads_need_a_target_that_names_both(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "left", upgrade=create_table("a"))
    write_revision(tmp_path, "right", upgrade=create_table("b"))
    with (
        trial(tmp_path, database, script_location="migrations") as migrate,
        pytest.raises(InvalidFileError, match="2 heads: left, right"),
    ):
        migrate.changes()
    with trial(tmp_path, database, script_location="migrations", target="heads") as migrate:
        migrate.apply()
        assert migrate.changes() == []


def test_a_target_below_head_is_where_it_stops(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first")
    write_revision(tmp_path, "second", "first")
    with trial(tmp_path, database, script_location="migrations", target="first") as migrate:
        migrate.apply()
        assert migrate.changes() == []
        assert migrate.query("SELECT version_num FROM alembic_version") == [("first",)]


def test_revisions_that_only_running_them_would_tell_are_read_by_alembic(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    computed = write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
    computed.write_text(computed.read_text().replace("revision = 'second'", "revision = 'sec' + 'ond'", 1))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        assert migrate.pending() == ["revision first", "revision second"]
        assert any("Alembic reads the revisions" in line for line in migrate.lines)
        migrate.apply()
        assert migrate.changes() == []


def test_a_version_table_that_the_role_may_not_read_defers_the_step(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        role = f"reader_{Target.from_url(database).dbname}"
        migrate.query(f"CREATE ROLE {role} LOGIN PASSWORD 'reader'")
        request.addfinalizer(lambda: drop_role(database, role))
    reader = Target.from_url(database).replacing(user=role, password="reader").url()
    with trial(tmp_path, reader, script_location="migrations") as migrate:
        found = migrate.changes()
        assert len(found) == 1
        assert isinstance(found[0], Deferred)
        assert found[0].may == {Action.RUN}


def drop_role(database: str, role: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"DROP ROLE {role}".encode())


def test_a_folder_without_env_py_is_a_mistake_in_the_file(tmp_path: Path, database: str) -> None:
    with (
        trial(tmp_path, database, script_location="absent") as migrate,
        pytest.raises(InvalidFileError, match=r"no env\.py"),
    ):
        migrate.changes()


def test_inputs_are_the_configuration_env_py_and_all_revisions(database: str) -> None:
    with trial(REPOSITORY, database) as migrate:
        found = migrate.step.inputs(migrate.context.project)
    names = [str(path.relative_to(REPOSITORY)) for path in found]
    configuration = ["alembic.ini", "pyproject.toml"]  # the first one would be read if there were one
    versions = ["migrations/versions", "migrations/versions/001_initial.py"]
    assert names == [*configuration, "migrations/env.py", *versions]


def test_the_server_on_path_is_as_good(path_server: Server) -> None:
    path_server.execute("CREATE DATABASE migrated")
    with trial(REPOSITORY, path_server.url("migrated")) as migrate:
        migrate.apply()
        assert migrate.changes() == []
    path_server.execute("DROP DATABASE migrated WITH (FORCE)")


def test_an_env_py_in_autocommit_is_warned_about_and_waits_no_longer_for_locks(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, ENV.replace("poolclass", "isolation_level='AUTOCOMMIT', poolclass"))
    shows = "print('waits', op.get_bind().exec_driver_sql('SHOW lock_timeout').scalar())"
    write_revision(tmp_path, "first", upgrade=shows)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert "waits 3s" in migrate.lines
        assert [event for event in migrate.events if isinstance(event, Warned) and "AUTOCOMMIT" in event.message]


def test_several_targets_are_reached_in_turn(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    for name in ("left", "right"):
        write_revision(tmp_path, f"{name}1", labels=[name], upgrade=create_table(f"{name}1"))
        write_revision(tmp_path, f"{name}2", f"{name}1", upgrade=create_table(f"{name}2"))
    with trial(tmp_path, database, script_location="migrations", target=["right@head", "left1"]) as migrate:
        assert migrate.pending() == ["revision right1", "revision right2", "revision left1"]
        migrate.apply()
        assert migrate.changes() == []
        assert migrate.progress[-1] == (3, 3)
        assert migrate.query("SELECT version_num FROM alembic_version ORDER BY 1") == [("left1",), ("right2",)]


def test_the_ledger_notes_each_revision_in_the_transaction_of_its_version_row(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "été 1.0", upgrade=create_table("a"))
    broken = "op.execute('SELECT 1/0')"
    write_revision(tmp_path, "second", "été 1.0", upgrade=broken)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        with pytest.raises(MigrationError, match="division by zero"):
            migrate.apply()
        noted = migrate.query("SELECT step, revision, action, seconds >= 0 FROM bootstrapper.revisions")
        assert noted == [("migrate", "été 1.0", "upgrade", True)]


def test_a_ledger_of_the_first_version_is_completed_by_the_next_run(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        migrate.query("DROP TABLE bootstrapper.revisions")
        migrate.query("ALTER TABLE bootstrapper.runs DROP COLUMN role")
        migrate.query("UPDATE bootstrapper.meta SET value = '1' WHERE key = 'ledger_version'")
        write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
        migrate.apply()
        assert migrate.query("SELECT revision FROM bootstrapper.revisions") == [("second",)]
        roles = migrate.query("SELECT role = session_user FROM bootstrapper.runs ORDER BY serial")
        assert roles == [(None,), (True,)]
        assert migrate.query("SELECT value FROM bootstrapper.meta WHERE key = 'ledger_version'") == [("6",)]
