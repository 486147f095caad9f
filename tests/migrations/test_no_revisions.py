"""Where no revision is found by the configuration: env.py may know of some, and else that is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.project import Project
from tests.migrations.contexts import trial
from tests.migrations.projects import ENV, create_table, write_env, write_revision

pytestmark = pytest.mark.long

MIGRATES = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: migrations}
    check: {revision: head}
"""
UNCHECKED = MIGRATES.replace("    check: {revision: head}\n", "")

SETS = "context.script.version_locations = ['history']\n"
AT_ONCE = ENV.replace("engine =", SETS + "engine =", 1)
BY_NAME = AT_ONCE.replace(SETS, "setattr(context.script, 'version_' + 'locations', ['history'])\n")
OFFLINE_AND_ONLINE = f"""
from alembic import context
from sqlalchemy import create_engine, pool


def offline():
    {SETS}
    context.configure(url=context.config.get_main_option("sqlalchemy.url"), literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def online():
    engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
    {SETS}
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()


offline() if context.is_offline_mode() else online()
"""


@pytest.mark.parametrize("env", [AT_ONCE, BY_NAME, OFFLINE_AND_ONLINE])
def test_revisions_in_folders_set_by_env_py_are_found_and_applied(tmp_path: Path, database: str, env: str) -> None:
    write_env(tmp_path, env)
    write_revision(tmp_path, "first", folder="history", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", folder="history", upgrade=create_table("b"))
    project = Project(tmp_path, database)
    for text in (UNCHECKED, MIGRATES):
        project.write(text)
        planned = project.run("plan")
        assert planned.returncode == 0, planned.stderr
        assert "revision first" in planned.stdout
        assert "revision second" in planned.stdout
        assert "Alembic reads the revisions" in planned.stderr
    with trial(tmp_path, database, script_location="migrations") as migrate:
        assert migrate.query("SELECT to_regclass('alembic_version')") == [(None,)], "a plan connects to nothing"
    applied = project.run("apply")
    assert applied.returncode == 0, applied.stderr
    again = project.run("apply")
    assert "nothing to do" in again.stdout + again.stderr
    with trial(tmp_path, database, script_location="migrations") as migrate:
        assert migrate.query("SELECT version_num FROM alembic_version") == [("second",)]


def test_the_sql_of_revisions_in_folders_set_by_env_py_is_shown(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, OFFLINE_AND_ONLINE)
    write_revision(tmp_path, "first", folder="history", upgrade=create_table("a"))
    project = Project(tmp_path, database)
    project.write(MIGRATES)
    assert "CREATE TABLE a (id integer);" in project.run("plan", "--sql").stdout


def test_folders_that_env_py_adds_to_those_of_the_configuration_are_found(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, AT_ONCE.replace("['history']", "['history', 'migrations/versions']"))
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", folder="history", upgrade=create_table("b"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        assert migrate.pending() == ["revision first", "revision second"]
        migrate.apply()
        assert migrate.changes() == []


def test_folders_that_the_step_names_are_read_without_running_env_py(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, "open('ran', 'w').close()\n" + AT_ONCE)
    write_revision(tmp_path, "first", folder="history", upgrade=create_table("a"))
    options = {"version_locations": "history"}
    with trial(tmp_path, database, script_location="migrations", options=options) as migrate:
        assert migrate.pending() == ["revision first"]
        assert not (tmp_path / "ran").exists()
        migrate.apply()
        assert migrate.changes() == []


@pytest.mark.parametrize("text", [MIGRATES, UNCHECKED])
@pytest.mark.parametrize("command", ["plan", "apply", "status"])
def test_no_revisions_at_all_are_an_error(tmp_path: Path, database: str, command: str, text: str) -> None:
    write_env(tmp_path)
    project = Project(tmp_path, database)
    project.write(text)
    refused = project.run(command)
    assert refused.returncode == 2
    line = 6 if text is UNCHECKED else 8
    assert f"bootstrap.yaml:{line}:" in refused.stderr
    assert ": no revisions found in migrations/versions\n" in refused.stderr
    assert "version_locations" in refused.stderr
    assert "nothing to do" not in refused.stdout + refused.stderr
    assert "failed" not in refused.stderr


def test_a_package_without_revisions_is_an_error(tmp_path: Path, database: str) -> None:
    write_env(tmp_path / "app")
    project = Project(tmp_path, database)
    project.write(MIGRATES.replace("migrations", '"app:migrations"'))
    refused = project.run("plan")
    assert refused.returncode == 2
    assert "no revisions found in app:migrations/versions" in refused.stderr


def test_the_error_of_env_py_is_reported(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, "raise RuntimeError('no settings')\n")
    project = Project(tmp_path, database)
    project.write(MIGRATES)
    refused = project.run("plan")
    assert refused.returncode == 2
    assert "RuntimeError: no settings (migrations/env.py:1)" in refused.stderr
    assert "no revisions found in" in refused.stderr


def test_the_first_revision_of_a_project_is_written(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    mako = '"""${message}"""\nrevision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n'
    mako += "branch_labels = None\ndepends_on = None\n\n\ndef upgrade():\n    pass\n"
    (tmp_path / "migrations" / "script.py.mako").write_text(mako)
    project = Project(tmp_path, database)
    project.write(MIGRATES)
    made = project.run("revision", "Begin here")
    assert made.returncode == 0, made.stderr
    assert project.run("apply").returncode == 0
