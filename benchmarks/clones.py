"""Databases for tests: the pytest plugin's clones beside a bare CREATE DATABASE ... TEMPLATE, and beside bootstrapping.

python benchmarks/clones.py [--rounds 15] [--rows 0] [--commits-wait]

The sample of this repository is bootstrapped once. Then, in turn and in one process, a database for one test is made
and dropped again: by the two statements alone, with each strategy of CREATE DATABASE, and by the plugin, which also
reserves and marks it and puts settings back. The median of the rounds; the first is not timed. Beside it stands what a
test takes without a template: an empty database and a run of `apply`. `--rows` adds a table of that many rows.

Below stand whole sessions of pytest with one test: one that makes the template, one that finds it, and one whose test
asks for no database.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg

from benchmarks.tools import DURABLE, ROOT, Tool, print_table, show
from bootstrapper.api.run import apply
from bootstrapper.engine.open import Request
from bootstrapper.pytest_plugin.templates import Templates
from bootstrapper.pytest_plugin.wanted import Wanted
from tests.servers import Server, path_bin, running_server, wheel_bin

SAMPLE = ("bootstrap.yaml", "config", "migrations", "plugins")
ENVIRONMENT = "development"
GOAL_MILLISECONDS = 100
STRATEGIES_SINCE = 15
SQL_STEP = """
  - uses: sql
    name: more
    with: {{statement: "CREATE TABLE more AS SELECT n, md5(n::text) AS word FROM generate_series(1, {rows}) AS n"}}
    check: {{table: more}}
"""
TESTS = {"with": "def test_it(bootstrap_database): pass\n", "without": "def test_it(): pass\n"}
SESSION = (sys.executable, "-m", "pytest", "-q", "-p", "bootstrapper.pytest_plugin.plugin", "-p", "no:cacheprovider")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--commits-wait", action="store_true", help="fsync and synchronous_commit on")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(path_bin() or wheel_bin(), **(DURABLE if options.commits_wait else {})) as server,
    ):
        project = copy_sample(Path(folder), options.rows)
        os.environ["DATABASE_URL"] = server.url("benchmark")
        sessions = compare_sessions(server, project)
        rows = compare(server, project, options.rounds, options.rows)
        version = server.execute("SHOW server_version")[0][0]
        (size,) = server.execute("SELECT max(pg_database_size(oid)) / 1024 / 1024 FROM pg_database")[0]
        waits = "wait" if options.commits_wait else "do not wait"
        show(f"PostgreSQL {version}, {os.cpu_count()} cores, template {size} MiB, commits {waits} for the disk")
        print_table([("", "time", "ratio", "goal"), *rows])
        print_table([("session of one test", "time"), *sessions])


def copy_sample(folder: Path, rows: int) -> Path:
    for name in SAMPLE:
        place = ROOT / name
        shutil.copytree(place, folder / name) if place.is_dir() else shutil.copy(place, folder / name)
    if rows:
        file = folder / "bootstrap.yaml"
        file.write_text(file.read_text().replace("\nfixtures:", SQL_STEP.format(rows=rows) + "\nfixtures:"))
    return folder


def compare(server: Server, project: Path, rounds: int, rows: int) -> list[tuple[str, ...]]:
    """Returns the rows of the table, relative to the server's own default strategy."""
    wanted = Wanted(project, project / "bootstrap.yaml", ENVIRONMENT)
    templates = Templates(project, recreate=False)
    try:
        name = templates.template(wanted).name
        with psycopg.connect(server.url(), autocommit=True) as connection:
            ways: dict[str, Callable[[], None]] = {
                "CREATE DATABASE ... TEMPLATE, DROP": lambda: bare(connection, name, ""),
                **strategies(connection, name, server.major),
                "clone of the plugin": lambda: clone(templates, wanted),
                "CREATE DATABASE, apply, DROP": lambda: bootstrap(connection, server, project),
            }
            measured = measure(ways, rounds)
    finally:
        templates.close()
    yardstick = next(iter(measured.values()))
    return [
        (way, f"{seconds * 1000:.0f} ms", f"{seconds / yardstick:.2f}", goal(way, rows))
        for way, seconds in measured.items()
    ]


def goal(way: str, rows: int) -> str:
    return f"<= {GOAL_MILLISECONDS} ms" if way == "clone of the plugin" and rows == 0 else ""


def strategies(connection: psycopg.Connection[Any], name: str, major: int) -> dict[str, Callable[[], None]]:
    if major < STRATEGIES_SINCE:
        return {}
    return {
        f"... STRATEGY {strategy}": lambda text=f" STRATEGY {strategy}": bare(connection, name, text)  # type: ignore[misc]
        for strategy in ("WAL_LOG", "FILE_COPY")
    }


def measure(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, do in ways.items():
            began = time.perf_counter()
            do()
            if number > 0:
                seconds[way].append(time.perf_counter() - began)
    return {way: statistics.median(found) for way, found in seconds.items()}


def bare(connection: psycopg.Connection[Any], template: str, options: str) -> None:
    connection.execute(f"CREATE DATABASE bare TEMPLATE {template}{options}".encode())
    connection.execute("DROP DATABASE bare WITH (FORCE)")


def clone(templates: Templates, wanted: Wanted) -> None:
    with templates.clone(wanted):
        pass


def bootstrap(connection: psycopg.Connection[Any], server: Server, project: Path) -> None:
    connection.execute("CREATE DATABASE bare")
    variables = {**os.environ, "DATABASE_URL": server.url("bare")}
    apply(Request(file=project / "bootstrap.yaml", environment=ENVIRONMENT, variables=variables))
    connection.execute("DROP DATABASE bare WITH (FORCE)")


def compare_sessions(server: Server, project: Path) -> list[tuple[str, str]]:
    for kind, text in TESTS.items():
        (project / f"test_{kind}.py").write_text(text)
    rows = []
    for name, kind in (("makes the template", "with"), ("finds the template", "with"), ("uses no database", "without")):
        command = [*SESSION, "--rootdir", str(project), "--bootstrap-environment", ENVIRONMENT, f"test_{kind}.py"]
        variables = {"DATABASE_URL": server.url("benchmark"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        rows.append((name, f"{Tool(name, command, project, variables).run().seconds:.2f} s"))
    return rows


if __name__ == "__main__":
    main()
