"""Projects as people write them: where env.py takes its address and its connection from, and what it logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrapper.errors import MigrationError
from tests.cli.project import Project
from tests.migrations.contexts import trial
from tests.migrations.projects import ENV, create_table, write_env, write_revision
from tests.migrations.worker.test_runner import when_reported

FROM_SETTINGS = ENV.replace("from alembic", "from app.settings import settings\nfrom alembic").replace(
    'context.config.get_main_option("sqlalchemy.url")', "settings.database_url"
)
SETTINGS = """
import os

class Settings:
    database_url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")

settings = Settings()
"""
SHARES_A_CONNECTION = """
from alembic import context
from sqlalchemy import engine_from_config, pool


def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


shared = context.config.attributes.get("connection")
if shared is not None:
    run(shared)
else:
    options = context.config.get_section(context.config.config_ini_section)
    engine = engine_from_config(options, prefix="sqlalchemy.", poolclass=pool.NullPool)
    with engine.connect() as connection:
        run(connection)
"""
CONFIGURES_LOGGING = (
    "from logging.config import fileConfig\n"
    "from alembic import context\n"
    "if context.config.config_file_name is not None:\n"
    "    fileConfig(context.config.config_file_name)\n" + ENV
)
ONE_TRANSACTION = ENV.replace("engine.connect()", "engine.begin()")
WAITS_FOR_AN_ANSWER = """
import time
from pathlib import Path
print("waiting for an answer")
deadline = time.monotonic() + 120
while not Path("answer").exists():
    if time.monotonic() > deadline:
        raise TimeoutError("no answer")
    time.sleep(0.02)
"""

INI = """
[alembic]
script_location = %(here)s/migrations
file_template = %%(rev)s_%%(slug)s
sqlalchemy.url = postgresql+psycopg://scott:100%%25@localhost:1/nowhere
"""
LOGGING = """
[loggers]
keys = root, alembic
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = {root}
handlers = console
[logger_alembic]
level = {alembic}
handlers =
qualname = alembic
[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic
[formatter_generic]
format = %(levelname)-5.5s [%(name)s] %(message)s
"""

TWO_HISTORIES = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
steps:
  - uses: wait
  - uses: lock
  - uses: migrate
    name: accounts
    with: {script_location: accounts/migrations}
  - uses: migrate
    name: billing
    with: {config: billing/alembic.ini, cwd: billing, version_table: billing_version}
"""


def test_the_projects_own_settings_read_the_address_of_the_run(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, FROM_SETTINGS)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "settings.py").write_text(SETTINGS)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert migrate.changes() == []


def test_the_address_in_an_ini_is_replaced_and_its_percent_signs_are_read(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    (tmp_path / "alembic.ini").write_text(INI)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database) as migrate:
        migrate.apply()
        assert migrate.changes() == []


def test_an_env_py_that_would_share_a_connection_opens_its_own(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, SHARES_A_CONNECTION)
    (tmp_path / "alembic.ini").write_text(INI)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database) as migrate:
        migrate.apply()
        assert migrate.changes() == []


def test_an_env_py_that_would_share_a_connection_requires_no_ini(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, SHARES_A_CONNECTION)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert migrate.changes() == []


def test_a_folder_may_have_a_space_in_its_name(tmp_path: Path, database: str) -> None:
    directory = tmp_path / "with space"
    write_env(directory)
    (directory / "alembic.ini").write_text(INI)
    write_revision(directory, "first", upgrade=create_table("a"))
    with trial(directory, database) as migrate:
        migrate.apply()
        assert migrate.changes() == []


def test_without_an_ini_a_folder_may_have_a_percent_sign_in_its_name(tmp_path: Path, database: str) -> None:
    directory = tmp_path / "50% off"  # with one, Alembic itself fails to fill in %(here)s
    write_env(directory)
    write_revision(directory, "first", upgrade=create_table("a"))
    with trial(directory, database, script_location="migrations") as migrate:
        migrate.apply()
        assert migrate.changes() == []


def test_relative_paths_of_an_ini_start_at_cwd(tmp_path: Path, database: str) -> None:
    app = tmp_path / "app"
    write_env(app, "import models\nprint(models.NAME)\n" + ENV)
    (app / "source").mkdir()
    (app / "source" / "models.py").write_text("NAME = 'found'\n")
    (app / "alembic.ini").write_text("[alembic]\nscript_location = migrations\nprepend_sys_path = source\n")
    write_revision(app, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, config="app/alembic.ini", cwd="app") as migrate:
        migrate.apply()
        assert migrate.lines == ["found"]
        assert migrate.changes() == []


def test_a_package_may_hold_the_history(tmp_path: Path, database: str) -> None:
    write_env(tmp_path / "app")
    (tmp_path / "app" / "__init__.py").touch()
    write_revision(tmp_path / "app", "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="app:migrations") as migrate:
        assert migrate.pending() == ["revision first"]
        migrate.apply()
        assert migrate.changes() == []


def test_progress_and_prints_are_reported_even_if_an_ini_silences_all_loggers(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, CONFIGURES_LOGGING)
    (tmp_path / "alembic.ini").write_text(INI + LOGGING.format(root="CRITICAL", alembic="CRITICAL"))
    write_revision(tmp_path, "first", upgrade="print('printed')")
    with trial(tmp_path, database) as migrate:
        migrate.apply()
        assert migrate.lines == ["printed"]
        assert migrate.progress == [(0, 1), (1, 1)]


def test_an_error_is_reported_even_if_an_ini_silences_all_loggers(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, CONFIGURES_LOGGING)
    (tmp_path / "alembic.ini").write_text(INI + LOGGING.format(root="CRITICAL", alembic="CRITICAL"))
    write_revision(tmp_path, "first", upgrade="op.execute('SELECT 1/0')")
    with trial(tmp_path, database) as migrate, pytest.raises(MigrationError) as caught:
        migrate.apply()
    assert (caught.value.revision, caught.value.sqlstate) == ("first", "22012")


def test_what_alembic_logs_is_reported_as_the_ini_formats_it(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, CONFIGURES_LOGGING)
    (tmp_path / "alembic.ini").write_text(INI + LOGGING.format(root="WARNING", alembic="INFO"))
    write_revision(tmp_path, "first")
    with trial(tmp_path, database) as migrate:
        migrate.apply()
        assert "INFO  [alembic.runtime.migration] Running upgrade  -> first, Step first" in migrate.lines


def test_a_printed_line_is_reported_while_env_py_still_runs(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, WAITS_FOR_AN_ANSWER + ENV)
    write_revision(tmp_path, "first")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        when_reported(migrate, "waiting for an answer", (tmp_path / "answer").touch)
        migrate.apply()
        assert migrate.changes() == []


def test_an_env_py_with_one_transaction_around_all_revisions_is_supported(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, ONE_TRANSACTION)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert migrate.changes() == []


def test_an_uncommitted_revision_does_not_count_as_done(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, ONE_TRANSACTION)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade="op.execute('SELECT 1/0')")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        with pytest.raises(MigrationError) as caught:
            migrate.apply()
        assert caught.value.revision == "second"
        assert migrate.pending() == ["revision first", "revision second"]
        assert migrate.progress == [(0, 2)]


def test_two_histories_with_a_version_table_each_are_migrated_in_one_run(tmp_path: Path, database: str) -> None:
    write_env(tmp_path / "accounts")
    write_env(tmp_path / "billing", ENV.replace("=connection)", "=connection, version_table='billing_version')"))
    (tmp_path / "billing" / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")
    write_revision(tmp_path / "accounts", "first", upgrade=create_table("accounts"))
    write_revision(tmp_path / "billing", "first", upgrade=create_table("invoices"))
    project = Project(tmp_path, database)
    project.write(TWO_HISTORIES)
    applied = project.run("apply")
    assert applied.returncode == 0, applied.stderr
    assert project.run("plan", "--exit-code").returncode == 0
    again = project.run("apply")
    assert again.returncode == 0
    assert "nothing to do" in again.stdout + again.stderr
