"""What `drift`, `status --health` and `reset` do behind a real PgBouncer, and on a standby that follows its primary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests import peers
from tests.cli.project import Project
from tests.cli.revisions import BOOTSTRAP, three_revisions
from tests.faults.pgbouncer import PgBouncer
from tests.servers import Server

DIRECT = BOOTSTRAP.replace('url: "${DATABASE_URL}"', 'url: "${DATABASE_URL}", direct_url: "${DIRECT_URL}"')


@pytest.fixture
def project(tmp_path: Path, database: str) -> Project:
    made = three_revisions(tmp_path, database)
    assert made.run("apply", "-e", "here").returncode == 0
    return made


@pytest.fixture
def pooled(project: Project, server: Server) -> Iterator[Project]:
    with PgBouncer(server, "transaction") as pooler:
        yield Project(project.folder, pooler.url(project.url))


@pytest.fixture
def standby(project: Project, server: Server) -> Iterator[Project]:
    with peers.replica(server) as replica:
        yield Project(project.folder, replica.url(project.url.rpartition("/")[2]))


def execute(project: Project, *statements: str) -> None:
    with psycopg.connect(project.url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_the_health_is_told_behind_a_pooler(project: Project, pooled: Project) -> None:
    execute(project, "CREATE SEQUENCE short MAXVALUE 10", "SELECT setval('short', 9)")
    done = pooled.run("status", "--health", "--format", "json", "-e", "here")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert [each["name"] for each in data["health"]["sequences"]] == ["public.short"]
    assert data["revisions"][0]["current"] == ["third"]
    assert data["last_run"]["command"] == "apply"


def test_the_health_is_told_behind_a_pooler_again_and_again(pooled: Project) -> None:
    """The backends are shared: what one look leaves on them, the next one meets."""
    texts = set()
    for _ in range(6):
        done = pooled.run("status", "--health", "-e", "here")
        assert done.returncode == 0, done.stderr
        texts.add(done.stdout.partition("connections: ")[0])
    assert len(texts) == 1


@pytest.mark.parametrize("command", [("drift",), ("reset", "--yes"), ("reset", "--dry-run")])
def test_drift_and_reset_need_a_direct_connection_and_say_so(pooled: Project, command: tuple[str, ...]) -> None:
    refused = pooled.run(*command, "-e", "here")
    assert (refused.returncode, refused.stdout) == (9, "")
    assert f"{command[0]} needs a direct connection" in refused.stderr
    assert "direct_url" in refused.stderr


def test_drift_and_reset_take_direct_url_where_the_address_is_a_pooler(project: Project, pooled: Project) -> None:
    project.write(DIRECT)
    execute(project, "CREATE TABLE by_hand (id int)")
    done = pooled.run("drift", "-e", "here", DIRECT_URL=project.url)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "+ table public.by_hand"), done.stderr
    done = pooled.run("reset", "--yes", "-e", "here", DIRECT_URL=project.url)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(project.url) as connection:
        left = connection.execute("SELECT relname FROM pg_class WHERE relname IN ('a', 'runs', 'by_hand')").fetchall()
    assert left == [("by_hand",)]


def test_the_health_of_a_standby_is_told(project: Project, standby: Project) -> None:
    done = standby.run("status", "--health", "--format", "json", "-e", "here")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["health"]["connections"] > 0
    assert data["revisions"][0]["at_head"]
    assert data["last_run"]["outcome"] == "done"
    assert data["errors"] == []


def test_the_health_of_a_standby_does_not_fail_over_what_only_a_primary_has(project: Project, server: Server) -> None:
    execute(
        project,
        "CREATE UNLOGGED TABLE cache (id serial)",
        "INSERT INTO cache DEFAULT VALUES",
        "CREATE SEQUENCE short MAXVALUE 10",
        "SELECT setval('short', 9)",
    )
    with peers.replica(server) as replica:
        done = Project(project.folder, replica.url(project.url.rpartition("/")[2])).run(
            "status", "--health", "-e", "here"
        )
    assert done.returncode == 0, done.stderr
    assert "public.short: 9 of 10 (90%)" in done.stdout


@pytest.mark.parametrize("command", [("drift",), ("reset", "--yes"), ("reset", "--dry-run")])
def test_drift_and_reset_of_a_standby_ask_for_the_primary(standby: Project, command: tuple[str, ...]) -> None:
    refused = standby.run(*command, "-e", "here")
    assert (refused.returncode, refused.stdout) == (5, "")
    assert "standby" in refused.stderr
    assert "primary" in refused.stderr
