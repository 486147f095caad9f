"""The SQL of each pending revision, without a connection, or the reason why it is missing."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from bootstrapper.errors import MigrationError
from bootstrapper.plans import SQL, Change, Hazard, HazardName
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.judgement import LOCKED
from tests.migrations.contexts import Trial, trial
from tests.migrations.projects import ENV, create_table, write_env, write_revision

OFFLINE = ENV.replace(
    "engine =",
    """if context.is_offline_mode():
    context.configure(url=context.config.get_main_option("sqlalchemy.url"), literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
    raise SystemExit(0)
engine =""",
)


def shown(migrate: Trial) -> tuple[dict[str, str], list[Hazard]]:
    with migrate.context.session.read_only():
        items = migrate.step.with_sql(Context(migrate.context), migrate.step.changes(Context(migrate.context)))
        found = migrate.step.hazards(Context(migrate.context), items)
    hazards = [each for each in found if isinstance(each, Hazard)]
    return {item.target: item.after[SQL] or "" for item in items if isinstance(item, Change)}, hazards


def test_each_revision_shows_its_own_statements(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, OFFLINE)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade="op.add_column('a', sa.Column('n', sa.Integer))")
    write_revision(tmp_path, "third", "second")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        found, _ = shown(migrate)
    assert found == {
        "revision first": "CREATE TABLE a (id integer);",
        "revision second": "ALTER TABLE a ADD COLUMN n INTEGER;",
        "revision third": "-- nothing",
    }


def test_only_what_is_pending_is_rendered(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, OFFLINE)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
        assert list(shown(migrate)[0]) == ["revision second"]


def test_a_revision_that_requires_the_database_does_not_stop_others(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, OFFLINE)
    write_revision(tmp_path, "first", upgrade="op.get_bind().execute(sa.text('SELECT 1')).fetchall()")
    write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        found, _ = shown(migrate)
    assert found["revision first"].startswith("-- cannot be rendered: ")
    assert found["revision second"] == "CREATE TABLE b (id integer);"


def test_an_env_py_that_connects_nevertheless_is_stopped(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, ENV.replace("with engine", "print('connecting')\nwith engine"))
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        found, _ = shown(migrate)
        assert "connecting" in migrate.lines
    assert "connects to the database even in offline mode" in found["revision first"]
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,)


def test_hazards_name_the_line_of_the_revision_and_the_size_of_the_table(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, OFFLINE)
    write_revision(tmp_path, "first", upgrade="op.create_table('a', sa.Column('n', sa.Integer))")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        migrate.query("INSERT INTO a SELECT generate_series(1, 1000)")
        migrate.query("ANALYZE a")
        write_revision(tmp_path, "second", "first", upgrade="op.create_index('a_n', 'a', ['n'])")
        found, hazards = shown(migrate)
        file = next((tmp_path / "migrations" / "versions").glob("second*.py"))
        line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "create_index" in text)
    assert found["revision second"].startswith("-- takes SHARE on a: blocks writes\nCREATE INDEX a_n")
    [hazard] = hazards
    assert (hazard.name, hazard.target) == (HazardName.INDEX_WITHOUT_CONCURRENTLY, "revision second")
    assert hazard.place == f"migrations/versions/{file.name}:{line}"
    assert "takes SHARE on a" in hazard.message
    assert "1,000 rows" in hazard.message
    assert "CONCURRENTLY" in hazard.remedy


def test_a_locked_table_does_not_block_a_plan(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, OFFLINE)
    write_revision(tmp_path, "first", upgrade="op.create_table('a', sa.Column('n', sa.Integer))")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        write_revision(tmp_path, "second", "first", upgrade="op.create_index('a_n', 'a', ['n'])")
        with psycopg.connect(database) as other:
            other.execute("LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
            pid = other.info.backend_pid
            _, hazards = shown(migrate)
        assert hazards == []
        [finding] = migrate.context.project.cache.of(LOCKED).values()
    assert finding.message.startswith(f"locked by process {pid} of role postgres")


def test_an_engine_with_a_creator_of_its_own_is_stopped(tmp_path: Path, database: str) -> None:
    env = f"""
import psycopg
from sqlalchemy import create_engine

engine = create_engine('postgresql+psycopg://', creator=lambda: psycopg.connect({database!r}))
with engine.begin() as connection:
    connection.exec_driver_sql('CREATE SCHEMA sneaked')
"""
    write_env(tmp_path, env)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        shown(migrate)
        assert migrate.query("SELECT count(*) FROM pg_namespace WHERE nspname = 'sneaked'") == [(0,)]


@pytest.mark.parametrize(
    ("upgrade", "said"),
    [
        (
            "op.add_colum('a')",
            r"^revision third: AttributeError: .* has no attribute 'add_colum' \(migrations/versions/third_.py:16\)$",
        ),
        ("op.execute(", r"^SyntaxError: '\(' was never closed \(migrations/versions/third_.py:16\)$"),
    ],
)
def test_a_revision_whose_code_is_wrong_is_an_error_and_no_question_of_hazards(
    tmp_path: Path, database: str, upgrade: str, said: str
) -> None:
    write_env(tmp_path, OFFLINE)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        migrate.query("INSERT INTO a VALUES (1)")
        write_revision(tmp_path, "second", "first", upgrade="op.get_bind().execute(sa.text('SELECT 1')).fetchall()")
        write_revision(tmp_path, "third", "second", upgrade=upgrade)
        with pytest.raises(MigrationError, match=said):
            shown(migrate)


def test_revisions_that_cannot_be_rendered_for_one_reason_are_one_hazard(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, OFFLINE)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        migrate.query("INSERT INTO a VALUES (1)")
        write_env(tmp_path, ENV)
        write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
        write_revision(tmp_path, "third", "second", upgrade=create_table("c"))
        _, [hazard] = shown(migrate)
    assert (hazard.name, hazard.target) == (HazardName.UNKNOWN_SQL, "revision second and 1 more")
    assert "connects to the database even in offline mode" in hazard.message
