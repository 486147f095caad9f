"""Tests of `pull`."""

from __future__ import annotations

import psycopg
import pytest

from tests.cli.project import Project

HEAD = """\
version: 1
name: pulled
database: {url: "${DATABASE_URL}"}
steps: [{uses: wait}, {uses: lock}, {uses: seed}]
"""
SCHEMA = """
CREATE TABLE tenants (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), slug text NOT NULL UNIQUE);
CREATE TABLE users (id serial PRIMARY KEY, email text NOT NULL UNIQUE, tenant_id uuid REFERENCES tenants,
    password_hash text NOT NULL, bio text);
INSERT INTO tenants (slug) VALUES ('acme');
INSERT INTO users (email, tenant_id, password_hash, bio)
    SELECT 'a@x.org', id, 'hunter2hunter2', '${HOME} is not a variable' FROM tenants;
"""
SHOWN = """\
fixtures:
  # id is left out: the server generates it.
  tenants:
    key: [slug]
    rows:
      acme:
        slug: acme
  # id is left out: the server generates it.
  # password_hash looks like a secret: existing rows keep theirs, new ones need $USERS_PASSWORD.
  users:
    key: [email]
    defaults: {password_hash: {$password: '${USERS_PASSWORD}'}}
    rows:
      - email: a@x.org
        tenant_id: {$ref: tenants.acme}
        bio: $${HOME} is not a variable
"""


@pytest.fixture
def live(project: Project) -> Project:
    project.write(HEAD)
    with psycopg.connect(project.url) as connection:
        connection.execute(SCHEMA.encode())
    return project


def test_the_fixtures_are_the_only_thing_on_stdout(live: Project) -> None:
    run = live.run("pull", "users", "tenants")
    assert run.returncode == 0, run.stderr
    assert run.stdout == SHOWN
    assert run.stderr.splitlines()[-1] == "pulled 2 rows of 2 fixtures"


def test_pulled_fixtures_leave_nothing_to_do(live: Project) -> None:
    for mode in ("create", "update"):
        live.write(HEAD)
        text = live.run("pull", "users", "tenants", "--mode", mode).stdout
        live.write(HEAD + text)
        plan = live.run("plan", "--exit-code")
        assert plan.returncode == 0, plan.stdout + plan.stderr


def test_pull_ignores_the_fixtures_in_the_file(live: Project) -> None:
    live.write(HEAD + "fixtures: {users: {key: [nothing], file: nowhere.csv}}\n")
    assert live.run("pull", "users", "tenants").stdout == SHOWN


def test_pull_does_not_write_to_the_database(live: Project) -> None:
    assert live.run("pull", "users", "tenants").returncode == 0
    with psycopg.connect(live.url) as connection:
        assert connection.execute("SELECT FROM pg_namespace WHERE nspname = 'bootstrapper'").fetchall() == []


def test_an_existing_file_is_overwritten_only_with_the_option(live: Project) -> None:
    (live.folder / "made").mkdir()
    first = live.run("pull", "tenants", "-o", "made/tenants.yaml")
    assert (first.returncode, first.stdout) == (0, "")
    assert first.stderr.splitlines()[-1] == "pulled 1 row of 1 fixture to made/tenants.yaml"
    file = live.folder / "made" / "tenants.yaml"
    file.write_text("mine")
    refused = live.run("pull", "tenants", "-o", "made/tenants.yaml")
    assert refused.returncode == 2
    assert "error: made/tenants.yaml already exists" in refused.stderr
    assert file.read_text() == "mine"
    assert live.run("pull", "tenants", "-o", "made/tenants.yaml", "--overwrite").returncode == 0
    assert file.read_text().startswith("fixtures:\n")
    assert [path.name for path in file.parent.iterdir()] == ["tenants.yaml"]


def test_large_tables_are_written_to_the_folder(live: Project) -> None:
    run = live.run("pull", "tenants", "--into", "seeds", "--inline", "0")
    assert "file: seeds/tenants.csv" in run.stdout
    assert (live.folder / "seeds" / "tenants.csv").read_text() == 'slug\n"acme"\n'
    again = live.run("pull", "tenants", "--into", "seeds", "--inline", "0")
    assert again.returncode == 2
    assert again.stdout == ""


def test_every_missing_table_is_named_at_once(live: Project) -> None:
    run = live.run("pull", "user", "tenant")
    assert run.returncode == 2
    assert [line for line in run.stderr.splitlines() if line.startswith(("error", "hint"))] == [
        "error: table user does not exist",
        "hint: Did you mean users?",
        "error: table tenant does not exist",
        "hint: Did you mean tenants?",
    ]


def test_pull_requires_a_table(offline: Project) -> None:
    run = offline.run("pull")
    assert run.returncode == 2
    assert "TABLE..." in run.stderr


def test_pull_from_an_unreachable_database_exits_with_5(offline: Project) -> None:
    offline.write(HEAD.replace("{uses: wait}, ", ""))
    run = offline.run("pull", "users", "--timeout", "1s")
    assert run.returncode == 5
    assert "hunter2" not in run.stderr


def test_an_unwritable_folder_is_an_error(live: Project) -> None:
    live.write("a file", "seeds")
    run = live.run("pull", "tenants", "--into", "seeds", "--inline", "0")
    assert run.returncode == 2
    assert "error: seeds/tenants.csv cannot be written" in run.stderr
