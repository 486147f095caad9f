"""The driver in the address is one that the engine of env.py supports, whichever code creates it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrapper.errors import MigrationError
from bootstrapper.migrations.project.env_py import engine_kind
from tests.cli.project import Project
from tests.migrations.contexts import trial
from tests.migrations.projects import ENV, create_table, write_env, write_revision

ASYNC = """
import asyncio
from alembic import context
from sqlalchemy import engine_from_config, pool
from sqlalchemy.ext.asyncio import AsyncEngine, async_engine_from_config, create_async_engine

config = context.config


def migrate(connection):
    print("driver", connection.engine.url.drivername)
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def main():
    section = config.get_section(config.config_ini_section, {{}})
    engine = {engine}
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(main())
"""
ENGINES = {
    "create_async_engine": "create_async_engine(config.get_main_option('sqlalchemy.url'), poolclass=pool.NullPool)",
    "async_engine_from_config": "async_engine_from_config(section, prefix='sqlalchemy.', poolclass=pool.NullPool)",
    "AsyncEngine": "AsyncEngine(engine_from_config(section, prefix='sqlalchemy.', poolclass=pool.NullPool))",
}
TELLS = ENV.replace("    context.configure", "    print('driver', engine.url.drivername)\n    context.configure")


def with_driver(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://", 1)


def drivers(lines: list[str]) -> list[str]:
    return [line.partition("+")[2] for line in lines if line.startswith("driver ")]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("given", [None, "psycopg", "psycopg2"])
def test_an_async_engine_gets_an_async_driver(tmp_path: Path, database: str, engine: str, given: str | None) -> None:
    write_env(tmp_path, ASYNC.format(engine=ENGINES[engine]))
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    url = with_driver(database, given) if given else database
    with trial(tmp_path, url, script_location="migrations") as migrate:
        migrate.apply()
        assert drivers(migrate.lines) == ["psycopg_async"]
        assert not any("retrying with driver" in line for line in migrate.lines)
        assert migrate.changes() == []


def test_a_synchronous_engine_gets_a_synchronous_driver(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, TELLS)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    for given in ("asyncpg", "psycopg_async"):
        with trial(tmp_path, with_driver(database, given), script_location="migrations") as migrate:
            migrate.apply()
            assert set(drivers(migrate.lines)) <= {"psycopg"}
            assert migrate.changes() == []


MADE_ELSEWHERE = """
from sqlalchemy import engine_from_config, pool
from sqlalchemy.ext.asyncio import AsyncEngine


def make(config):
    print("made")
    section = config.get_section(config.config_ini_section)
    return AsyncEngine(engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool))
"""


def test_an_engine_created_by_other_code_gets_another_driver_if_the_first_fails(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, "from engines import make\n" + ASYNC.format(engine="make(config)"))
    (tmp_path / "engines.py").write_text(MADE_ELSEWHERE)
    assert engine_kind(tmp_path / "migrations/env.py") is None
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert migrate.lines.count("made") == 2
        [line] = [line for line in migrate.lines if "retrying with driver" in line]
        assert "The loaded 'psycopg' is not async" in line
        assert line.endswith("retrying with driver psycopg_async")
        assert drivers(migrate.lines) == ["psycopg_async"]
        assert migrate.changes() == []


def test_a_synchronous_engine_created_by_other_code_gets_another_driver(tmp_path: Path, database: str) -> None:
    env = TELLS.replace("from sqlalchemy import create_engine, pool", "from engines import make")
    write_env(tmp_path, env.replace("create_engine(", "make(").replace(", poolclass=pool.NullPool", ""))
    (tmp_path / "engines.py").write_text("from sqlalchemy import create_engine as make\n")
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, with_driver(database, "psycopg_async"), script_location="migrations") as migrate:
        migrate.apply()
        assert drivers(migrate.lines) == ["psycopg"]
        assert migrate.changes() == []


def test_the_driver_of_the_step_is_used_in_both_addresses(tmp_path: Path, database: str) -> None:
    tells = "import os\nprint('url', os.environ['DATABASE_URL'].partition(':')[0])\n"
    write_env(tmp_path, tells + ASYNC.format(engine=ENGINES["create_async_engine"]))
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations", driver="psycopg") as migrate:
        migrate.apply()
        assert migrate.lines[0] == "url postgresql+psycopg"
        assert drivers(migrate.lines) == ["psycopg"], "which create_async_engine takes as well"
    with trial(
        tmp_path, database, script_location="migrations", env={"DATABASE_URL": "x:"}, driver="psycopg"
    ) as migrate:
        write_revision(tmp_path, "second", "first")
        migrate.apply()
        assert migrate.lines[0] == "url x"


def test_an_unsuitable_driver_of_the_step_is_not_replaced(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, ASYNC.format(engine=ENGINES["AsyncEngine"]))
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with (
        trial(tmp_path, database, script_location="migrations", driver="psycopg") as migrate,
        pytest.raises(MigrationError) as caught,
    ):
        migrate.apply()
    assert "requires an async driver" in caught.value.reason
    assert caught.value.hint is not None
    assert "`driver: asyncpg`" in caught.value.hint


def test_a_driver_that_is_not_installed_is_named(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, ASYNC.format(engine=ENGINES["AsyncEngine"]))
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with (
        trial(tmp_path, database, script_location="migrations", driver="pg8000") as migrate,
        pytest.raises(MigrationError, match="driver pg8000 is not installed") as caught,
    ):
        migrate.apply()
    assert caught.value.hint is not None


def test_an_engine_with_an_address_of_its_own_fails_with_a_hint_about_the_driver(tmp_path: Path, database: str) -> None:
    own = "AsyncEngine(create_engine(os.environ['DATABASE_URL'], poolclass=pool.NullPool))"
    env = ASYNC.format(engine=own).replace("import engine_from_config", "import create_engine, engine_from_config")
    write_env(tmp_path, "import os\n" + env)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with (
        trial(tmp_path, with_driver(database, "psycopg"), script_location="migrations") as migrate,
        pytest.raises(MigrationError) as caught,
    ):
        migrate.apply()
    assert "requires an async driver" in caught.value.reason
    assert caught.value.hint is not None
    assert "driver:" in caught.value.hint
    with trial(
        tmp_path, with_driver(database, "psycopg"), script_location="migrations", driver="psycopg_async"
    ) as again:
        again.apply()
        assert again.changes() == []


def test_a_missing_driver_in_the_projects_own_address_is_named(tmp_path: Path, database: str) -> None:
    env = ENV.replace('context.config.get_main_option("sqlalchemy.url")', "os.environ['DATABASE_URL']")
    write_env(tmp_path, "import os\n" + env)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    url = with_driver(database, "psycopg2")
    with trial(tmp_path, url, script_location="migrations") as migrate, pytest.raises(MigrationError) as caught:
        migrate.apply()
    assert caught.value.reason == "No module named 'psycopg2' (migrations/env.py:6)"
    assert caught.value.hint is not None
    assert "driver:" in caught.value.hint
    with trial(tmp_path, url, script_location="migrations", driver="psycopg") as migrate:
        migrate.apply()
        assert migrate.changes() == []


def test_an_error_after_connecting_is_not_reported_as_one_of_the_driver(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, ASYNC.format(engine=ENGINES["create_async_engine"]))
    raising = "from sqlalchemy.exc import MissingGreenlet\nraise MissingGreenlet('greenlet_spawn has not been called')"
    write_revision(tmp_path, "first", upgrade=raising)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        with pytest.raises(MigrationError, match="MissingGreenlet") as caught:
            migrate.apply()
        assert not any("retrying with driver" in line for line in migrate.lines)
    assert caught.value.revision == "first"
    assert "driver:" not in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("engine = create_engine(url)", "sync"),
        ("engine = sqlalchemy.engine_from_config(section)", "sync"),
        ("engine = create_async_engine(url)", "async"),
        ("async def main():\n    engine = aio.async_engine_from_config(section)", "async"),
        ("engine = AsyncEngine(create_engine(url))", "async"),
        ("if is_async:\n    engine = create_async_engine(url)\nelse:\n    engine = create_engine(url)", None),
        ("from app.db import engine", None),
        ("engine: AsyncEngine = make()", None),
        ("# create_engine(url)", None),
        ("engine = create_engine(", None),
    ],
)
def test_the_kind_of_engine_is_read_from_the_text(tmp_path: Path, text: str, kind: str | None) -> None:
    file = tmp_path / "env.py"
    file.write_text(text + "\n")
    assert engine_kind(file) == kind
    assert engine_kind(tmp_path / "absent.py") is None


MIGRATES = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: migrations, driver: psycopg3}
"""


def test_an_unknown_driver_is_an_error_of_the_file(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first")
    project = Project(tmp_path, database)
    project.write(MIGRATES)
    refused = project.run("validate")
    assert refused.returncode == 2
    assert "bootstrap.yaml:7:" in refused.stderr
    assert "asyncpg" in refused.stderr
