"""kill -9 of a run that loads a large file, in one transaction and in parts: the next one completes it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.cli.project import Project
from tests.faults.pgbouncer import PgBouncer
from tests.faults.trials import Site

ROWS = 60_000
FILE = """\
version: 1
name: batches
database: {url: "${DATABASE_URL}"}
steps: [{uses: lock}, {uses: seed, with: {OPTIONS}}]
fixtures:
  items: {key: [id], mode: update, file: items.csv}
"""


@pytest.fixture
def project(site: Site, tmp_path: Path) -> Project:
    trial = site.trial("quick")
    project = Project(tmp_path, trial.url)
    lines = "".join(f"{number},name {number},{number % 97}\n" for number in range(ROWS))
    (tmp_path / "items.csv").write_text(f"id,name,price\n{lines}")
    assert (tmp_path / "items.csv").stat().st_size > 1 << 20
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, price numeric)")
    return project


def count(project: Project) -> int:
    with psycopg.connect(project.url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM items").fetchone()
    return int(row[0]) if row else 0


def kill_when(project: Project, is_time: Callable[[], bool]) -> None:
    run = subprocess.Popen(project.command("apply"), cwd=project.folder, env=project.variables(), stdout=-3, stderr=-3)
    deadline = time.monotonic() + 60
    while not is_time():
        assert run.poll() is None, "it was done before it was killed"
        assert time.monotonic() < deadline
    run.kill()
    run.wait()


def is_loading(project: Project) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%'"
    with psycopg.connect(project.url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    return bool(row and row[0])


def require_complete(project: Project) -> None:
    again = project.spawn("apply")
    assert again.returncode == 0, again.stderr
    with psycopg.connect(project.url) as connection:
        query = "SELECT count(*), count(DISTINCT id), sum(price), min(name), max(id) FROM items"
        assert connection.execute(query).fetchone() == (
            ROWS,
            ROWS,
            sum(number % 97 for number in range(ROWS)),
            "name 0",
            ROWS - 1,
        )
    done = project.spawn("apply")
    assert "nothing to do" in done.stderr


def test_a_load_that_is_killed_leaves_nothing_and_the_next_run_completes_it(project: Project) -> None:
    project.write(FILE.replace("{OPTIONS}", "{}"))
    kill_when(project, lambda: is_loading(project))
    assert count(project) == 0
    require_complete(project)


def test_a_load_in_parts_that_is_killed_goes_on_where_it_was(project: Project) -> None:
    project.write(FILE.replace("{OPTIONS}", "{batch: 5000}"))
    kill_when(project, lambda: count(project) > 0)
    left = count(project)
    assert 0 < left < ROWS
    assert left % 5000 == 0
    require_complete(project)


@pytest.mark.parametrize("options", ["{}", "{batch: 25000}"])
def test_a_large_file_is_loaded_compared_and_mended_through_a_pooler(
    project: Project, site: Site, options: str
) -> None:
    project.write(FILE.replace("{OPTIONS}", options))
    with PgBouncer(site.server, "transaction") as pooler:
        pooled = replace(project, url=pooler.url(project.url))
        require_complete(pooled)
        with psycopg.connect(project.url, autocommit=True) as connection:
            connection.execute("UPDATE items SET name = 'other' WHERE id = 41234; DELETE FROM items WHERE id = 7")
        planned = pooled.spawn("plan")
        assert "1 to create, 1 to update" in planned.stdout, planned.stderr
        assert "changed in the database since it was seeded" in planned.stdout
        require_complete(pooled)
