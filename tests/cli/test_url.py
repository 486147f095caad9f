"""Tests of `url` and of `${run.url}`, the address for programs that read another variable or use another driver."""

from __future__ import annotations

import re
import subprocess
import sys

import psycopg
import pytest

from bootstrapper.config.document import DRIVERS
from bootstrapper.migrations.project import drivers
from bootstrapper.postgres.connection.target import Target
from tests.cli.project import BOOTSTRAP, Project
from tests.faults.pgbouncer import PgBouncer
from tests.migrations.projects import create_table, write_env, write_revision
from tests.servers import Server

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
    ],
)
def test_the_placeholder_outside_env_is_an_error_with_its_position(offline: Project, step: str, said: str) -> None:
    offline.write(f"{HEAD}  - {step}\n")
    done = offline.run("validate")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("error: bootstrap.yaml:6:")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("${run.url+asyncgp}", ["unknown driver 'asyncgp' of run.url", "Did you mean 'asyncpg'?"]),
        ("${run.url+ASYNCPG}", ["unknown driver 'ASYNCPG' of run.url", "Known: asyncpg, pg8000, psycopg, psycopg2, "]),
        ("x ${run.url+odbc}", ["unknown driver 'odbc' of run.url", "Known: asyncpg, pg8000, psycopg, psycopg2, "]),
        ("${run.url+}", ["unknown driver '' of run.url", "Known: asyncpg, "]),
        ("${run.ulr}", ["unknown name run.ulr", "Did you mean 'run.url'?"]),
        ("${run.database}", ["unknown name run.database", "hint: "]),
        ("${run.host+asyncpg}", ["run.host takes no driver", "Write ${run.host}, or ${run.url+asyncpg}."]),
        ("${run.url:-x}", ["run.url takes no default and no message", "Write ${run.url}."]),
        ("${run.url+asyncpg?ssl=on}", ["run.url takes no default and no message", "Write ${run.url}."]),
    ],
)
@pytest.mark.parametrize("step", ["{uses: migrate, with: {ENV}}", "{uses: command, with: {run: a, ENV}, check: never}"])
def test_a_wrong_name_or_driver_is_an_error_with_its_position_and_a_suggestion(
    offline: Project, step: str, written: str, said: list[str]
) -> None:
    step = step.replace("ENV", f'env: {{A: "{written}"}}')
    offline.write(f"{HEAD}  - {step}\n")
    done = offline.run("validate")
    assert done.returncode == 2
    error = next(line for line in done.stderr.splitlines() if "run." in line)
    assert re.match(r"error: bootstrap\.yaml:6:\d+: ", error)
    assert [part for part in said if part not in done.stderr] == []


def test_every_driver_has_a_url_for_the_program_and_for_a_step(project: Project) -> None:
    for name in DRIVERS:
        project.write(printing("A", f'A: "${{run.url+{name}}}"'))
        assert project.run("validate").returncode == 0
        assert project.run("url", "--driver", name).stdout.startswith(f"postgresql+{name}://")


def test_the_drivers_of_urls_are_those_that_migrations_know() -> None:
    assert set(DRIVERS) == {driver.name for driver in drivers.DRIVERS}


@pytest.mark.faults
def test_behind_a_pooler_the_url_for_asyncpg_says_so_and_others_do_not(project: Project, server: Server) -> None:
    env = 'A: "${run.url+asyncpg}", B: "${run.url+psycopg}"'
    project.write(f"{HEAD}  - {{uses: command, with: {{run: [sh, -c, echo $A $B], env: {{{env}}}}}, check: never}}\n")
    with PgBouncer(server, "transaction") as pooler:
        done = project.run("apply", DATABASE_URL=project.url.replace(f":{server.port}/", f":{pooler.port}/"))
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"postgresql\+asyncpg://\S+\?prepared_statement_cache_size=0 postgresql\+psycopg://[^\s?]+\n", done.stderr
    )


def test_programs_and_env_py_get_the_address_of_an_embedded_server_that_was_not_running(offline: Project) -> None:
    write_env(offline.folder, NEEDS_OWN_VARIABLE)
    write_revision(offline.folder, "first", upgrade=create_table("a"))
    embedded = HEAD.replace('"${DATABASE_URL}"', '"embedded:server"')
    migrate = '{uses: migrate, with: {script_location: migrations, env: {SHOP_DATABASE: "${run.url+psycopg}"}}}'
    shown = printing("A", 'A: "${run.url+asyncpg}"').removeprefix(HEAD)
    offline.write(f"{embedded}  - {migrate}\n{shown}")
    try:
        assert offline.run("validate").returncode == 0
        assert offline.run("plan").returncode == 0
        assert not (offline.folder / "server").exists()
        done = offline.run("apply")
        assert done.returncode == 0, done.stderr
        url = offline.run("url", "--driver", "asyncpg").stdout.strip()
        place = url.partition("@")[2]
        assert f"command | postgresql+asyncpg://postgres:***@{place}\n" in done.stderr
        assert offline.run("dev", "stop").returncode == 0
        again = offline.run("url", "--driver", "psycopg").stdout.strip()
        with psycopg.connect(again.replace("+psycopg", "")) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("first",)
    finally:
        offline.run("dev", "stop")


def test_a_shell_passes_the_url_to_any_program(project: Project) -> None:
    script = (
        f'DATABASE_URL=$({sys.executable} -m bootstrapper url) && test -n "$DATABASE_URL" && printf %s "$DATABASE_URL"'
    )
    done = subprocess.run(
        ["bash", "-ec", script], cwd=project.folder, env=project.variables(), capture_output=True, text=True, check=True
    )
    assert done.stdout == project.url
