"""The sample application under plain Alembic, as a newcomer would use it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.servers import Server

REPOSITORY = Path(__file__).parents[2]
TABLES = {"tenants", "users", "documents", "social_links", "chats", "sessions", "messages"}


def alembic(*arguments: str, url: str | None) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    if url is not None:
        variables["DATABASE_URL"] = url
    command = [sys.executable, "-m", "alembic", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=False)


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows}


def test_it_upgrades_shows_no_drift_and_downgrades(database: str) -> None:
    asynchronous = database.replace("postgresql:", "postgresql+asyncpg:")
    assert alembic("upgrade", "head", url=database.replace("postgresql:", "postgres:")).returncode == 0
    assert tables(database) == TABLES | {"alembic_version"}
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE bootstrapper_lock (id integer)")
    check = alembic("check", url=asynchronous)
    assert "No new upgrade operations detected." in check.stdout, check.stderr
    assert alembic("downgrade", "base", url=database).returncode == 0
    assert tables(database) == {"alembic_version", "bootstrapper_lock"}


def test_its_sql_can_be_shown_without_a_database() -> None:
    shown = alembic("upgrade", "head", "--sql", url="postgresql://nobody@localhost/nowhere")
    assert shown.returncode == 0
    assert "CREATE TABLE tenants" in shown.stdout


def test_without_an_address_the_error_says_how_to_set_one() -> None:
    refused = alembic("current", url=None)
    assert refused.returncode != 0
    assert "export DATABASE_URL=$(bootstrapper dev url)" in refused.stderr + refused.stdout


@pytest.fixture(scope="module")
def migrated(server: Server) -> Iterator[str]:
    name = f"sample_{os.getpid()}"
    server.create_database(name)
    assert alembic("upgrade", "head", url=server.url(name)).returncode == 0
    yield server.url(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_deleting_a_tenant_deletes_its_own_data_only(migrated: str) -> None:
    with psycopg.connect(migrated) as connection:
        for slug in ("one", "two"):
            connection.execute("INSERT INTO tenants (name, slug) VALUES (%s, %s)", (slug, slug))
        connection.execute("INSERT INTO users (email, name, role, password_hash) VALUES ('s', 's', 'superadmin', 'x')")
        connection.execute(
            "INSERT INTO users (email, name, role, password_hash, tenant_id)"
            " SELECT slug, slug, 'tenant_admin', 'x', id FROM tenants"
        )
        connection.execute("INSERT INTO chats (tenant_id, name) SELECT id, slug FROM tenants")
        connection.execute(
            "INSERT INTO sessions (chat_id, user_id)"
            " SELECT c.id, u.id FROM chats AS c JOIN users AS u ON u.tenant_id = c.tenant_id"
        )
        connection.execute("INSERT INTO messages (session_id, role, content) SELECT id, 'user', 'hello' FROM sessions")
        connection.execute("DELETE FROM tenants WHERE slug = 'one'")
        left = connection.execute("SELECT email FROM users ORDER BY email").fetchall()
        messages = connection.execute("SELECT count(*) FROM messages").fetchone()
    assert left == [("s",), ("two",)]
    assert messages == (1,)


def test_an_unknown_role_is_refused(migrated: str) -> None:
    with psycopg.connect(migrated) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("INSERT INTO users (email, name, role, password_hash) VALUES ('a', 'a', 'owner', 'x')")
