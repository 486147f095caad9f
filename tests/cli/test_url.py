"""Tests of `url` and of `${run.url}`, the address for programs that read another variable or use another driver."""

from __future__ import annotations

import re
import subprocess
import sys

import psycopg
import pytest

from bootstrapper.postgres.connection.target import Target
from tests.cli.project import BOOTSTRAP, Project
from tests.migrations.projects import create_table, write_env, write_revision

HEAD = 'version: 1\nname: sample\ndatabase: {url: "${DATABASE_URL}"}\nsteps:\n  - uses: lock\n'
NEEDS_OWN_VARIABLE = """
import os
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(os.environ["SHOP_DATABASE"], poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


def printing(name: str, env: str) -> str:
    run = f"[{sys.executable}, -c, \"import os; print(os.environ['{name}'])\"]"
    return f"{HEAD}  - {{uses: command, with: {{run: {run}, env: {{{env}}}}}, check: never}}\n"


def test_url_prints_only_the_url(project: Project) -> None:
    done = project.run("url")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{project.url}\n", "")


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "psycopg2"])
def test_the_url_for_a_driver_is_one_that_sqlalchemy_reads(project: Project, driver: str) -> None:
    printed = project.run("url", "--driver", driver).stdout.strip()
    assert printed.startswith(f"postgresql+{driver}://")
    assert Target.from_url(printed).parameters == Target.from_url(project.url).parameters


def test_an_unknown_driver_is_a_usage_error(offline: Project) -> None:
    assert offline.run("url", "--driver", "odbc").returncode == 2


def test_the_embedded_server_is_started_for_its_url(offline: Project) -> None:
    offline.write(BOOTSTRAP.replace("${DATABASE_URL}", "embedded:server"))
    try:
        done = offline.run("url")
        assert done.returncode == 0, done.stderr
        with psycopg.connect(done.stdout.strip()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        offline.run("dev", "stop")


def test_an_env_py_that_reads_its_own_variable_migrates_unchanged(project: Project) -> None:
    write_env(project.folder, NEEDS_OWN_VARIABLE)
    write_revision(project.folder, "first", upgrade=create_table("a"))
    step = '{uses: migrate, with: {script_location: migrations, env: {SHOP_DATABASE: "${run.url+psycopg}"}}}'
    project.write(f"{HEAD}  - {step}\n")
    assert project.run("plan").returncode == 0
    done = project.run("apply")
    assert done.returncode == 0, done.stderr
    assert project.run("plan").stdout.endswith("Nothing to do.\n")


def test_the_url_is_that_of_the_scratch_database_in_a_schema_comparison(project: Project) -> None:
    write_env(project.folder, NEEDS_OWN_VARIABLE)
    write_revision(project.folder, "first", upgrade=create_table("a"))
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE a (id integer)")
    env = 'env: {SHOP_DATABASE: "${run.url+psycopg}"}'
    project.write(f"{HEAD}  - {{uses: migrate, with: {{script_location: migrations, adopt: first, {env}}}}}\n")
    done = project.run("apply")
    assert done.returncode == 0, done.stderr


def test_a_program_receives_the_url_in_its_own_variable(project: Project) -> None:
    project.write(printing("SHOP_URL", 'SHOP_URL: "x=${run.url+asyncpg}"'))
    done = project.run("apply")
    address = project.url.partition("@")[2]
    assert f"command | x=postgresql+asyncpg://postgres:***@{address}" in done.stderr
    assert "correct" not in done.stderr


def test_a_program_receives_the_parts_of_the_address_in_its_own_variables(project: Project) -> None:
    parts = "${run.user} ${run.host} ${run.port} ${run.dbname} ${run.password}"
    project.write(printing("PARTS", f'PARTS: "{parts}"'))
    done = project.run("apply")
    host, port, database = re.fullmatch(r".*@(.*):(\d+)/(.*)", project.url).groups()  # type: ignore[union-attr]
    assert f"command | postgres {host} {port} {database} ***" in done.stderr
    assert "correct" not in done.stderr


def test_an_escaped_placeholder_and_a_value_are_not_replaced(project: Project) -> None:
    project.write(printing("A", 'A: "$${run.url} ${B}"'))
    done = project.run("apply", B="${run.url}")
    assert "command | ${run.url} ${run.url}\n" in done.stderr


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            '{uses: command, with: {run: [echo, "${run.url}"]}, check: never}',
            "run.url is available only under `env` of a step",
        ),
        (
            "{uses: sql, with: {statement: \"SELECT '${run.url}'\"}, check: never}",
            "run.url is available only under `env`",
        ),
        ('{uses: command, with: {run: a, env: {A: "${run.role}"}}, check: never}', "without a variable name after it"),
        (
            '{uses: command, with: {run: a, env: {A: "${run.url:-x}"}}, check: never}',
            "without a variable name after it",
        ),
    ],
)
def test_the_placeholder_outside_env_is_an_error_with_its_position(offline: Project, step: str, said: str) -> None:
    offline.write(f"{HEAD}  - {step}\n")
    done = offline.run("validate")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("error: bootstrap.yaml:6:")


def test_a_shell_passes_the_url_to_any_program(project: Project) -> None:
    script = (
        f'DATABASE_URL=$({sys.executable} -m bootstrapper url) && test -n "$DATABASE_URL" && printf %s "$DATABASE_URL"'
    )
    done = subprocess.run(
        ["bash", "-ec", script], cwd=project.folder, env=project.variables(), capture_output=True, text=True, check=True
    )
    assert done.stdout == project.url
