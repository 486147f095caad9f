"""Projects of every kind of step and check that a quick look answers for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.migrations.projects import create_table, write_env, write_revision
from tests.quick.looks import Looks

BACKUP = """\
  - uses: backup
    when: {all: [{pending: [migrate]}, {not: {database: empty}}]}
"""
BOOTSTRAP = """\
version: 1
name: trial
database: {url: "${DATABASE_URL}"}
environments:
  here: {file: here.yaml}
  there: {}
steps:
  - uses: wait
  - uses: lock
BACKUP  - uses: migrate
    with: {script_location: migrations}
    check: {revision: head}
  - uses: seed
    with: {fixtures: [tenants, users, prices]}
  - uses: sql
    with: {file: notes.sql}
    check:
      all: [{table: notes}, {rows: {table: notes, at_least: 1}}, {once: notes-written}]
  - uses: sql
    name: greeting
    with: {statement: "INSERT INTO notes VALUES ('${GREETING:-hello}')"}
    check: {sql: "SELECT EXISTS (SELECT FROM notes WHERE body = '${GREETING:-hello}')"}
    when: {not: {environment: [there]}}
fixtures:
  tenants:
    key: [slug]
    mode: update
    rows:
      default: {name: "Default of ${PLACE:-nowhere}", slug: default}
  users:
    key: [email]
    rows:
      admin: {email: admin@example.com, tenant_id: {$ref: tenants.default}, secret: {$password: "${ADMIN:-admin123}"}}
  prices: {key: [code], mode: sync, where: "code < 1000", file: prices.csv}
""".replace("BACKUP", BACKUP)
TABLES = """
op.execute("CREATE TABLE tenants (id serial PRIMARY KEY, name text, slug text UNIQUE)")
op.execute("CREATE TABLE users (email text PRIMARY KEY, tenant_id int REFERENCES tenants, secret text)")
op.execute("CREATE TABLE prices (code int PRIMARY KEY, price numeric, kept int DEFAULT 0)")
"""


@pytest.fixture(autouse=True)
def crowd_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another test may just have left that the server was not reached."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("crowd")))


def write_project(looks: Looks, bootstrap: str = BOOTSTRAP) -> None:
    looks.write(bootstrap)
    looks.write("limits: {timeout: 60s}\n", "here.yaml")
    looks.write("CREATE TABLE notes (body text); INSERT INTO notes VALUES ('a');\n", "notes.sql")
    looks.write("code,price\n" + "".join(f"{code},{code}.50\n" for code in range(20)), "prices.csv")
    write_env(looks.folder)
    write_revision(looks.folder, "first", upgrade=TABLES)
    write_revision(looks.folder, "second", "first", upgrade=create_table("later"))


@pytest.fixture
def looks(tmp_path: Path, database: str) -> Looks:
    made = Looks(tmp_path, database)
    write_project(made)
    return made
