"""Tests of `status --health`."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from bootstrapper.postgres import health
from tests.cli.project import Project
from tests.servers import Server, running_server
from tests.waiting import eventually


@pytest.fixture
def applied(project: Project) -> Project:
    assert project.run("apply").returncode == 0
    return project


def execute(project: Project, *statements: str) -> None:
    with psycopg.connect(project.url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def shown(project: Project, *options: str) -> str:
    done = project.run("status", "--health", *options, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def blocked(project: Project) -> Iterator[tuple[int, int]]:
    """Yields the process that holds a table in an open transaction, and the one that waits for it."""
    with psycopg.connect(project.url) as holder, psycopg.connect(project.url) as waiter:
        holder.execute("LOCK TABLE held")
        asking = threading.Thread(target=lambda: waiter.execute("SELECT FROM held"))
        asking.start()
        eventually(lambda: _waits(project, waiter.info.backend_pid))
        try:
            yield holder.info.backend_pid, waiter.info.backend_pid
        finally:
            holder.rollback()
            asking.join()


def _waits(project: Project, pid: int) -> bool:
    with psycopg.connect(project.url) as connection:
        row = connection.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", (pid,)).fetchone()
    return row is not None and bool(row[0])


def test_a_quiet_database_is_reported_as_that(applied: Project) -> None:
    text = shown(applied)
    for line in ("long transactions: none", "blocked sessions: none", "invalid objects: none"):
        assert f"\n{line}\n" in text
    assert "\nsequences near their end: none\n" in text
    data = json.loads(shown(applied, "--format", "json"))["health"]
    assert 0 < data["connections"] < data["limit"] < 200
    assert "health" not in applied.run("status").stdout
    assert json.loads(applied.run("status", "--format", "json").stdout)["health"] is None


def test_long_transactions_and_blocked_sessions_are_named(applied: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LONG_SECONDS", 0)
    execute(applied, "CREATE TABLE held (id int)")
    with blocked(applied) as (holder, waiter):
        text = shown(applied)
        assert f"  process {holder} of role postgres, idle in transaction, " in text
        assert f"  process {waiter} of role postgres waits for process {holder}, " in text
        assert text.count("SELECT FROM held") == 2
        assert text.count("LOCK TABLE held") == 1


def test_a_statement_about_a_password_stays_hidden(applied: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LONG_SECONDS", 0)
    with psycopg.connect(applied.url) as connection:
        connection.execute("SELECT 'Password of ada: xyzzy'")
        text = shown(applied)
    assert ("xyzzy" in text, "a statement about a password" in text) == (False, True)


def test_invalid_indexes_are_named(applied: Project) -> None:
    execute(applied, "CREATE TABLE twins (id int)", "INSERT INTO twins VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(applied, "CREATE UNIQUE INDEX CONCURRENTLY twins_id ON twins (id)")
    assert "  index public.twins_id is invalid: a concurrent build was interrupted" in shown(applied)


def test_a_sequence_near_the_end_of_its_column_is_named(applied: Project) -> None:
    execute(
        applied,
        "CREATE TABLE narrow (id int PRIMARY KEY)",
        "CREATE SEQUENCE numbers OWNED BY narrow.id",
        "SELECT setval('numbers', 2000000000)",
        "CREATE TABLE wide (id bigserial)",
        "SELECT setval('wide_id_seq', 2000000000)",
        "CREATE SEQUENCE round AS smallint CYCLE",
        "SELECT setval('round', 32767)",
    )
    text = shown(applied)
    assert "\nsequences near their end:\n  public.numbers: 2,000,000,000 of 2,147,483,647 (93%)\n" in text
    assert ("wide_id_seq" in text, "round" in text) == (False, False)


def test_a_role_that_may_not_see_everything_is_told_so(applied: Project) -> None:
    role = f"watcher_{os.getpid()}"
    execute(applied, f"CREATE ROLE {role} LOGIN PASSWORD 'p'", "CREATE SEQUENCE hidden AS smallint")
    execute(applied, "SELECT setval('hidden', 32000)")
    try:
        execute(applied, f"GRANT USAGE ON SCHEMA bootstrapper TO {role}")
        execute(applied, f"GRANT SELECT ON ALL TABLES IN SCHEMA bootstrapper, public TO {role}")
        scheme, _, rest = applied.url.partition("://")
        watcher = Project(applied.folder, f"{scheme}://{role}:p@{rest.partition('@')[2]}")
        with psycopg.connect(applied.url):
            text = shown(watcher)
        assert "1 session of other roles is hidden: grant pg_read_all_stats\n" in text
        assert "sequences near their end: none\n" in text
    finally:
        execute(applied, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_statements_are_unknown_without_their_statistics(applied: Project) -> None:
    assert "\nslowest statements: unknown, pg_stat_statements is not available\n" in shown(applied)


def test_slow_statements_are_listed_where_the_server_counts_them(path_server: Server, tmp_path: Path) -> None:
    """Debian's packages contain the module, the wheel does not: then its absence is what is tested."""
    with running_server(path_server.bin, shared_preload_libraries=_preloaded(path_server)) as server:
        server.create_database("counted")
        project = Project(tmp_path, server.url("counted"))
        project.write()
        assert project.run("apply").returncode == 0
        if _preloaded(server):
            execute(project, "CREATE SCHEMA stats", "CREATE EXTENSION pg_stat_statements SCHEMA stats")
            execute(project, "SELECT pg_sleep(0.2)")
            text = shown(project)
            assert re.search(r"\nslowest statements:\n  2\d\d ms on average, 1 calls: SELECT pg_sleep\(\$1\)\n", text)
        else:
            assert "\nslowest statements: unknown" in shown(project)


def _preloaded(server: Server) -> str:
    return "pg_stat_statements" if (server.bin.parent / "lib" / "pg_stat_statements.so").exists() else ""
