"""What the worker sends for each revision: as many round trips as plain Alembic, and fences are planned once."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.faults.pgbouncer import PgBouncer
from tests.migrations.contexts import trial
from tests.migrations.projects import ENV, create_table, write_env, write_revision
from tests.round_trips import CountingProxy
from tests.servers import Server

APPLIED = [("first",), ("second",), ("third",)]


def write_three(tmp_path: Path, env: str = ENV, *, second: str = "") -> None:
    """Writes three revisions of one table each, the second one with more statements."""
    write_env(tmp_path, env)
    for name, down, more in (("first", None, ""), ("second", "first", second), ("third", "second", "")):
        write_revision(tmp_path, name, down, upgrade=f"{create_table(name)}\n{more}")


def noted(database: str) -> list[tuple[str]]:
    with psycopg.connect(database) as connection:
        return connection.execute("SELECT revision FROM bootstrapper.revisions ORDER BY id").fetchall()


def messages(tmp_path: Path, port: int, database: str, env: str = ENV, **options: object) -> list[list[str]]:
    """What the worker says for three revisions of one statement each, one list a round trip."""
    write_three(tmp_path, env)
    with CountingProxy(port) as proxy:
        with trial(
            tmp_path, f"{proxy.url(database)}?sslmode=disable", script_location="migrations", **options
        ) as migrate:
            migrate.apply()
        found = [each.statements for each in proxy.conversations if "CREATE TABLE third" in str(each.statements)]
    assert len(found) == 1
    return found[0]


def test_each_revision_takes_as_many_round_trips_as_in_plain_alembic(
    tmp_path: Path, server: Server, database: str
) -> None:
    said = messages(tmp_path, server.port, database)
    at = next(number for number, texts in enumerate(said) if "CREATE TABLE third" in texts[0])
    begin, ddl, version, end = said[at - 1 : at + 3]
    assert begin == ["BEGIN; EXECUTE bootstrapper_fence"]
    assert (len(ddl), len(version)) == (1, 1)
    assert version[0].startswith("UPDATE alembic_version")
    assert end[0].startswith("SAVEPOINT bootstrapper_last_fence; EXECUTE bootstrapper_last_fence (")
    assert end[0].endswith("; COMMIT")
    assert "CREATE TABLE second" in said[at - 4][0], "four round trips from one statement to the next"


@pytest.mark.parametrize(
    ("env", "options"),
    [
        pytest.param(ENV, {"transaction_per_migration": False}, id="all in one transaction"),
        pytest.param(ENV.replace("with engine.connect() as", "with engine.begin() as"), {}, id="begun by env.py"),
        pytest.param(ENV.replace("NullPool", 'NullPool, isolation_level="AUTOCOMMIT"'), {}, id="autocommit"),
    ],
)
def test_only_what_alembic_commits_at_once_is_sent_with_its_commit(
    tmp_path: Path, server: Server, database: str, env: str, options: dict[str, bool]
) -> None:
    said = [text for texts in messages(tmp_path, server.port, database, env, **options) for text in texts]
    assert not any("; COMMIT" in text for text in said)
    assert noted(database) == APPLIED


def test_the_fences_are_prepared_once(tmp_path: Path, server: Server, database: str) -> None:
    said = [text for texts in messages(tmp_path, server.port, database) for text in texts]
    prepared = [text for text in said if "PREPARE" in text]
    assert len(prepared) == 1
    assert said.index(prepared[0]) < said.index("BEGIN; EXECUTE bootstrapper_fence")


def test_the_fences_are_prepared_once_where_env_py_configures_alembic_twice(
    tmp_path: Path, server: Server, database: str
) -> None:
    configured = ENV[ENV.index("    context.configure") :]
    said = [text for texts in messages(tmp_path, server.port, database, ENV + configured) for text in texts]
    assert len([text for text in said if "PREPARE" in text]) == 1
    assert noted(database) == APPLIED


def test_the_fences_are_prepared_once_where_targets_share_a_connection(tmp_path: Path, database: str) -> None:
    kept = """
import sys
engine = sys.__dict__.setdefault("engine", create_engine(context.config.get_main_option("sqlalchemy.url")))
with engine.connect()"""
    write_env(tmp_path, ENV[: ENV.index("engine =")] + kept + ENV.partition("with engine.connect()")[2])
    for name in ("first", "second"):
        write_revision(tmp_path, name, upgrade=create_table(name))
    with trial(tmp_path, database, script_location="migrations", target=["first", "second"]) as migrate:
        migrate.apply()
    assert sorted(noted(database)) == [("first",), ("second",)]


def test_nothing_is_prepared_behind_a_pooler(tmp_path: Path, server: Server, database: str) -> None:
    with PgBouncer(server, "transaction") as pooler:
        said = messages(tmp_path, pooler.port, pooler.url(database))
    assert not any("bootstrapper_fence" in text for texts in said for text in texts)
    assert noted(database) == APPLIED


@pytest.mark.parametrize(
    "dropping",
    [
        pytest.param("op.execute('DEALLOCATE ALL')", id="in the revision's transaction"),
        pytest.param("with op.get_context().autocommit_block():\n    op.execute('DISCARD ALL')", id="in a block"),
    ],
)
def test_a_revision_may_drop_prepared_statements_and_is_run_once(tmp_path: Path, database: str, dropping: str) -> None:
    note = "with open('ran', 'a') as ran:\n    ran.write('second')"
    write_three(tmp_path, second=f"{note}\n{dropping}")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert migrate.query("SELECT version_num FROM alembic_version") == [("third",)]
        assert migrate.query("SELECT revision FROM bootstrapper.revisions WHERE action = 'upgrade'") == APPLIED
    assert (tmp_path / "ran").read_text() == "second"
