"""Tests that no output reveals a secret: streams, reports, plans, the ledger, the configuration."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.cli.project import Project
from tests.migrations.projects import ENV, write_env, write_revision

HEAD = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
"""
SECRET = "hunter2 and 3"
LINES = "first line of it\nsecond line of it"
VARIABLES = {"APP_PASSWORD": SECRET, "APP_TOKEN": "tok/en+1234", "APP_KEY": LINES, "PIN_SECRET": "wrong"}


def file_of(project: Project, *steps: str, more: str = "") -> None:
    project.write(HEAD + "".join(f"  - {step}\n" for step in steps) + more)


def ledger(project: Project) -> str:
    with psycopg.connect(project.url) as connection:
        found = connection.execute("SELECT to_regclass('bootstrapper.runs') IS NOT NULL").fetchone()
        rows = "SELECT r::text FROM bootstrapper.runs AS r UNION ALL SELECT s::text FROM bootstrapper.steps AS s"
        return str(connection.execute(rows).fetchall()) if found == (True,) else ""


def everything(project: Project, *arguments: str, **variables: str) -> str:
    """Returns all output of plan and apply in each format, the report, the history and the ledger."""
    given = {**VARIABLES, **variables}
    said = ""
    for options in (["--format", "markdown"], ["--format", "json", "--log-format", "json"], []):
        done = project.run("apply", "--report", "report.json", *options, *arguments, **given)
        said += done.stdout + done.stderr + (project.folder / "report.json").read_text()
        said += project.run("plan", *options, **given).stdout
    return said + project.run("history", **given).stdout + ledger(project)


def secrets_in(text: str) -> list[str]:
    spelt = [SECRET, *SECRET.split(), "tok/en+1234", "tok%2Fen%2B1234", *LINES.splitlines()]
    return [each for each in spelt if each != "and" and each != "3" and each in text]


def test_a_statement_is_shown_with_the_names_of_its_variables(project: Project) -> None:
    statement = "CREATE TABLE IF NOT EXISTS a (b text DEFAULT '${APP_PASSWORD}')"
    file_of(project, f'{{uses: sql, with: {{statement: "{statement}"}}, check: never}}')
    said = everything(project)
    assert secrets_in(said) == []
    assert statement in said


def test_the_arguments_of_a_program_are_shown_with_the_names_of_their_variables(project: Project) -> None:
    run = "run: [echo, '--token=${APP_TOKEN}', --password, '${APP_PASSWORD}']"
    file_of(project, f"{{uses: command, with: {{{run}}}, check: never}}")
    said = everything(project)
    assert secrets_in(said) == []
    assert "echo --token=${APP_TOKEN} --password ${APP_PASSWORD}" in said


def test_a_password_in_a_statement_is_not_shown(project: Project) -> None:
    file_of(
        project, "{uses: sql, with: {statement: \"SELECT 'CREATE ROLE a PASSWORD ''x''', 'hunter2'\"}, check: never}"
    )
    statement = "DO $$BEGIN IF false THEN CREATE ROLE a PASSWORD 'hunter2'; END IF; END$$"
    file_of(project, f'{{uses: sql, with: {{statement: "{statement}"}}, check: never}}')
    said = everything(project)
    assert "hunter2" not in said
    assert "CREATE ROLE a PASSWORD '***'" in said


def test_a_program_that_prints_its_environment_does_not_reveal_secrets(project: Project) -> None:
    file_of(project, "{uses: command, with: {run: [sh, -c, 'env; exit 3'], env: {OTHER: '${APP_KEY}'}}, check: never}")
    said = everything(project)
    assert secrets_in(said) == []
    assert "APP_TOKEN=***" in said
    assert "correct%20horse" not in said
    assert "correct horse" not in said
    assert "PIN_SECRET=***" in said


def test_a_secret_printed_line_by_line_is_masked_in_each_line(project: Project) -> None:
    step = """\
uses: command
    with: {run: [sh, -c, 'printf "%s\\n" "$PEM"'], env: {PEM: {$env: {name: PEM, secret: true}}}}
    check: never"""
    file_of(project, step)
    assert secrets_in(everything(project, PEM=LINES)) == []


CASTS = {
    "statement": "{uses: sql, with: {statement: \"SELECT '${APP_PASSWORD}'::int\"}, check: never}",
    "check": "{uses: sql, with: {statement: SELECT 1}, check: {sql: \"SELECT '${APP_PASSWORD}'::int = 1\"}}",
    "part of a value": "{uses: sql, with: {statement: \"SELECT left('${APP_PASSWORD}', 7)::int\"}, check: never}",
    "a value with a quote": "{uses: sql, with: {statement: \"SELECT '${QUOTED_SECRET}'\"}, check: never}",
}


@pytest.mark.parametrize("case", CASTS)
def test_a_secret_quoted_by_the_server_is_masked(project: Project, case: str) -> None:
    file_of(project, CASTS[case])
    said = everything(project, QUOTED_SECRET="it's hunter2")
    assert "SQLSTATE" in said
    assert secrets_in(said) == []


@pytest.mark.parametrize(
    "cell", ["{$file: secret.txt}", "{$env: PLAIN}", "'${PLAIN}'", "{$env: {name: PLAIN, secret: true}}"]
)
def test_a_value_from_outside_the_file_quoted_by_the_server_is_masked(project: Project, cell: str) -> None:
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE a (id int PRIMARY KEY, number int)")
    (project.folder / "secret.txt").write_text(f"{SECRET}\n")
    file_of(project, "uses: seed", more=f"fixtures: {{a: {{key: [id], rows: [{{id: 1, number: {cell}}}]}}}}\n")
    said = everything(project, PLAIN=SECRET)
    assert "invalid value for type integer" in said
    assert secrets_in(said) == []


def test_a_value_in_the_file_quoted_by_the_server_is_shown(project: Project) -> None:
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE a (id int PRIMARY KEY, number int)")
    file_of(project, "uses: seed", more="fixtures: {a: {key: [id], rows: [{id: 1, number: seven}]}}\n")
    assert 'invalid input syntax for type integer: "seven"' in project.run("apply").stderr


@pytest.fixture
def migrating(project: Project) -> Project:
    file_of(project, "{uses: migrate, with: {script_location: migrations}}")
    write_env(project.folder)
    return project


CELLS = """\
fixtures:
  keys:
    table: keys
    key: [id]
    mode: update
    rows:
      - {id: 1, api_key: {$file: key.txt}, token: "${APP_TOKEN}", pin: "${PIN_SECRET}", body: {$file: body.txt}}
"""


def test_a_cell_of_a_column_named_like_a_secret_is_shown_by_its_source(project: Project) -> None:
    table = "CREATE TABLE keys (id int PRIMARY KEY, api_key text, token text, pin text, body text)"
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute(table)
        connection.execute("INSERT INTO keys VALUES (1, 'an older key', 'x', 'y', 'z')")
    (project.folder / "key.txt").write_text("key 99 of a file")
    (project.folder / "body.txt").write_text("public text")
    file_of(project, "uses: seed", more=CELLS)
    for options in (["--format", "markdown"], ["--format", "json"], []):
        planned = project.run("plan", *options, **VARIABLES).stdout
        assert "public text" in planned
        assert "$APP_TOKEN" in planned
        for secret in ("key 99", "older key", "tok/en+1234", "wrong"):
            assert secret not in planned
    assert "key 99" not in everything(project)
    with psycopg.connect(project.url) as connection:
        found = connection.execute("SELECT api_key, token, pin FROM keys WHERE id = 1").fetchone()
    assert found == ("key 99 of a file", "tok/en+1234", "wrong")


def test_a_revision_that_fails_on_a_secret_does_not_reveal_it(migrating: Project) -> None:
    statement = "SELECT CAST(left(:x, 7) AS int)"
    reading = f"import os\nop.get_bind().execute(sa.text('{statement}'), {{'x': os.environ['APP_PASSWORD']}})"
    write_revision(migrating.folder, "first", upgrade=reading)
    said = everything(migrating)
    assert 'invalid input syntax for type integer: "***"' in said
    assert secrets_in(said) == []


def test_an_env_py_that_prints_its_environment_does_not_reveal_secrets(migrating: Project) -> None:
    write_env(migrating.folder, "import os\nprint(*os.environ.items(), sep=chr(10))\n" + ENV)
    write_revision(migrating.folder, "first")
    said = everything(migrating)
    assert "APP_TOKEN" in said
    assert secrets_in(said) == []


def test_a_plugin_whose_import_fails_on_a_secret_does_not_reveal_it(project: Project) -> None:
    project.write(
        "import os\nraise ValueError(os.environ['APP_PASSWORD'], 'it is', os.environ['PIN_SECRET'])\n", "p/x.py"
    )
    file_of(project, "{uses: sql, with: {statement: SELECT 1}, check: never}", more="plugins: [./p]\n")
    done = project.run("plan", **VARIABLES)
    assert (done.returncode, secrets_in(done.stderr)) == (2, [])
    assert "ValueError: ('***', 'it is', '***')" in done.stderr


def test_a_password_that_is_a_common_word_is_not_masked_in_a_message(project: Project) -> None:
    url = project.url.replace("correct%20horse", "wrong")
    done = project.run("plan", DATABASE_URL=url)
    assert done.returncode == 6
    assert "wrong user name or password" in done.stderr
    assert "***" not in done.stderr


def test_a_password_equal_to_the_name_of_the_database_does_not_mask_the_name(project: Project) -> None:
    name = project.url.rpartition("/")[2]
    done = project.run("plan", DATABASE_URL=project.url.replace("correct%20horse", name))
    assert f"database {name}" in done.stderr
    assert "***" not in done.stderr


CONFIG = """\
version: 1
database: {url: "postgresql://me:${DB_PASSWORD:-s3cret}@h/app?sslpassword=s3cret"}
steps:
  - {uses: lock}
  - uses: backup
    with: {directory: s3://b/c, storage: {key: public, secret: s3cret, token: "${S3_TOKEN:-s3cret}"}}
  - {uses: migrate, with: {env: {API_TOKEN: s3cret, MODE: fast, URL: "postgres://a:s3cr@et@h/x"}, x: [password=s3cret]}}
  - {uses: sql, with: {statement: "ALTER ROLE a PASSWORD 's3cret'"}, check: never}
  - {uses: command, with: {run: [load, --token, s3cret, "--key-file=k", "--api-key=s3cret"]}, check: never}
"""


def test_config_show_masks_secrets(offline: Project) -> None:
    offline.write(CONFIG)
    shown = offline.run("config", "show").stdout
    assert "s3cr" not in shown
    for open_part in (
        "${DB_PASSWORD:-***}",
        "${S3_TOKEN:-***}",
        "key: public",
        "MODE: fast",
        "--key-file=k",
        "a:***@h/x",
    ):
        assert open_part in shown


@pytest.mark.parametrize(
    "database",
    [
        '{url: "postgresql://me:s3cr@et@h/app"}',
        '{host: h, user: me, password: "s3cret"}',
        "{host: h, password: {$literal: s3cret}}",
    ],
)
def test_config_show_masks_the_password_in_every_notation(offline: Project, database: str) -> None:
    offline.write(f"version: 1\ndatabase: {database}\nsteps: [uses: wait]\n")
    assert "s3cr" not in offline.run("config", "show").stdout


def test_the_json_error_does_not_contain_secrets(project: Project) -> None:
    file_of(project, CASTS["statement"])
    done = project.run("apply", "--log-format", "json", **VARIABLES)
    assert json.loads(done.stderr.splitlines()[-1])["exit_code"] == 1
    assert secrets_in(done.stderr) == []
