"""Tests of errors in seed data: one error with its position, an exit code, and no secret in any output."""

from __future__ import annotations

import json
from subprocess import CompletedProcess

import psycopg
import pytest

from tests.cli.project import Project

FILE = """\
version: 1
database: {url: "${DATABASE_URL}"}
steps: [{uses: lock}, {uses: seed}]
fixtures:
  users:
    key: [email]
    mode: update
    rows:
      admin: {email: a@b, ROW}
"""

USERS = """
CREATE TABLE users (email text PRIMARY KEY, name varchar(5), age int CHECK (age > 0), token text UNIQUE, born date);
CREATE TABLE user_names (name text)
"""

SECRET = "s3cr3t-hunter2-value"
ENV_SECRET = "{$env: {name: TOKEN, secret: true}}"


def execute(project: Project, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(project.url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def require_one_error(done: CompletedProcess[str], place: str, *words: str) -> None:
    """Requires one error at the place with the words, no traceback, and no secret in any output."""
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert done.stderr.count("error: ") == 1, done.stderr
    assert place in done.stderr, done.stderr
    assert [word for word in words if word not in done.stderr] == [], done.stderr


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ("naem: x", 33, ("table users has no column 'naem'", "Did you mean 'name'?")),
        ("name: much too long", 33, ("users.admin.name", "too long for character varying(5)", "22001")),
        ("age: old", 32, ("users.admin.age", "invalid input syntax for type integer", "22P02")),
        ("born: 2024-02-30", 33, ("users.admin.born", "out of range", "22008")),
        ("age: -1", 7, ("users.admin", "users_age_check", "23514")),
    ],
)
def test_a_refused_row_is_an_error_with_its_position(
    project: Project, row: str, column: int, words: tuple[str, ...]
) -> None:
    execute(project, USERS)
    project.write(FILE.replace("ROW", row))
    done = project.run("apply")
    assert done.returncode == 1
    require_one_error(done, f"bootstrap.yaml:9:{column}", *words)
    assert execute(project, "SELECT count(*) FROM users") == [(0,)]


def test_a_missing_table_is_an_error_with_the_nearest_name(project: Project) -> None:
    execute(project, USERS.replace("users", "usres"))
    project.write(FILE.replace("ROW", "age: 1"))
    done = project.run("apply")
    assert done.returncode == 1
    require_one_error(done, "bootstrap.yaml:5:3", "table users does not exist", "Did you mean usres?")


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_keys_equal_in_the_database_are_an_error_with_both_positions(project: Project, command: str) -> None:
    execute(project, "CREATE TABLE users (id int PRIMARY KEY)")
    project.write(FILE.replace("[email]", "[id]").replace("{email: a@b, ROW}", "{id: 7}\n      other: {id: '07'}"))
    done = project.run(command)
    assert done.returncode == 2
    require_one_error(done, "bootstrap.yaml:10:7", "duplicate key in fixture users", "bootstrap.yaml:9:7")


def test_an_error_in_a_csv_file_has_its_line(project: Project) -> None:
    execute(project, USERS)
    project.write("email,age\na@b,1\nc@d,${AGE}\n", "users.csv")
    project.write(FILE.partition("    rows:")[0] + "    file: users.csv\n")
    done = project.run("apply", AGE="30")
    assert done.returncode == 1
    require_one_error(done, "users.csv:3:1", "users.age", '"${AGE}"')


@pytest.mark.parametrize(
    "trigger",
    [
        "BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION swallow()",
        "BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION rewrite()",
    ],
)
def test_a_trigger_that_drops_or_rewrites_a_row_fails_the_step(project: Project, trigger: str) -> None:
    execute(
        project,
        f"""{USERS};
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION rewrite() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.age := NEW.age + 1; RETURN NEW; END';
CREATE TRIGGER between {trigger}""",
    )
    project.write(FILE.replace("ROW", "age: 1"))
    done = project.run("apply")
    assert done.returncode == 1
    require_one_error(done, "bootstrap.yaml:9:", "table users has trigger between")
    assert execute(project, "SELECT count(*) FROM users") == [(0,)]


TELL = """
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE LEVEL 'token is %', NEW.token; RETURN NEW; END$$;
CREATE TRIGGER telling BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION tell()
"""
THEIRS = "INSERT INTO users (email, token) VALUES ('other', '{}');"
LATE = "ALTER TABLE users DROP CONSTRAINT users_token_key, ADD UNIQUE (token) DEFERRABLE INITIALLY DEFERRED"

BAD_SECRETS = {
    "unique": (f"token: {ENV_SECRET}", THEIRS),
    "type": (f"age: {ENV_SECRET}", ""),
    "length": (f"name: {ENV_SECRET}", ""),
    "check": (f"token: {ENV_SECRET}", "ALTER TABLE users ADD CHECK (token NOT LIKE 's3%')"),
    "deferred": (f"token: {ENV_SECRET}", THEIRS + LATE),
    "trigger": (f"token: {ENV_SECRET}", TELL.replace("LEVEL", "EXCEPTION")),
    "notice": (f"token: {ENV_SECRET}, age: -1", TELL.replace("LEVEL", "WARNING")),
}


@pytest.mark.parametrize("output", [(), ("--format", "json"), ("--log-format", "json")], ids=" ".join)
@pytest.mark.parametrize("case", BAD_SECRETS)
def test_a_refused_secret_is_not_shown(project: Project, case: str, output: tuple[str, ...]) -> None:
    row, setup = BAD_SECRETS[case]
    execute(project, f"{USERS}; {setup.format(SECRET)}")
    project.write(FILE.replace("ROW", row))
    for command in ("plan", "apply"):
        done = project.run(command, *output, TOKEN=SECRET)
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    assert done.returncode == 1
    assert "users" in done.stderr


@pytest.mark.parametrize("output", [(), ("--format", "json"), ("--format", "markdown")], ids=" ".join)
def test_written_changed_and_deleted_secrets_are_not_shown(project: Project, output: tuple[str, ...]) -> None:
    execute(project, USERS)
    old = SECRET.replace("value", "older")
    execute(project, f"INSERT INTO users (email, token) VALUES ('a@b', '{old}'), ('gone', '{old}2')")
    project.write(FILE.replace("mode: update", "mode: sync\n    where: all").replace("ROW", f"token: {ENV_SECRET}"))
    for command in ("plan", "apply"):
        done = project.run(command, *output, TOKEN=SECRET)
        assert "s3cr3t" not in done.stdout + done.stderr
        assert done.returncode == 0, done.stderr
    assert execute(project, "SELECT email, token FROM users") == [("a@b", SECRET)]


def test_an_error_in_json_has_its_position(project: Project) -> None:
    execute(project, USERS)
    project.write(FILE.replace("ROW", "age: old"))
    done = project.run("apply", "--format", "json")
    assert done.returncode == 1
    text = json.dumps([json.loads(line) for line in done.stdout.splitlines()] if done.stdout else done.stderr)
    assert "bootstrap.yaml" in text
    assert "22P02" in text
