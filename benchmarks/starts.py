"""The start of an application that finds nothing to do, in its process: round trips, statements and time.

python benchmarks/starts.py [--rounds 100]

The repository's own bootstrap.yaml is applied, as the role that owns the database, until nothing is left to do. Then
`apply` runs again and again in this process, in turn with a bare `psycopg.connect`, alone and with
`SELECT version_num`. A proxy counts what each sends after its login; the times are measured without it. PgBouncer is
looked for in /usr/sbin and the like; without it, those rows are left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg

import bootstrapper
from benchmarks.tools import DATABASE, print_table, show
from bootstrapper import Outcome
from tests.faults.pgbouncer import PgBouncer
from tests.round_trips import CountingProxy
from tests.samples import READABLE, copy_sample, request_of
from tests.servers import Server, path_bin, running_server, wheel_bin
from tests.waiting import eventually

HEAD = ("", "", "round trips", "statements", "time", "ratio", "fastest")
LOGIN = "connect"
BARE = "connect, SELECT version_num"
APPLICATION = "application"
OFF = {"BOOTSTRAPPER_QUICK": "off"}
CHECK = "    check: {rows: {table: users, at_least: 1}}"

Start = Callable[[str], None]


@dataclass(frozen=True)
class Way:
    """How the server is reached: the port, and the URL of the database through it."""

    name: str
    port: int
    url: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    rows: list[tuple[str, ...]] = [HEAD]
    with tempfile.TemporaryDirectory() as folder, running_server(path_bin() or wheel_bin()) as server:
        show(f"PostgreSQL {server.execute('SHOW server_version')[0][0]}, {os.cpu_count()} cores, nothing to do")
        starts = prepared(Path(folder), server)
        for way in ways(server):
            rows += table(way, starts, options.rounds)
    print_table(rows)


def prepared(folder: Path, server: Server) -> dict[str, Start]:
    """Brings the database up, and returns what is measured."""
    server.execute(f"CREATE ROLE {APPLICATION} LOGIN PASSWORD 'starts'")
    server.execute(f"CREATE DATABASE {DATABASE} OWNER {APPLICATION}")
    sample = copy_sample(folder / "sample")
    compared = copy_sample(folder / "compared")
    file = compared / "bootstrap.yaml"
    text = file.read_text()
    assert CHECK in text
    file.write_text(text.replace(CHECK, ""))
    applied(sample, url_of(server))
    return {
        LOGIN: login,
        BARE: bare,
        "bootstrapper, the sample": applying(sample),
        "bootstrapper, no quick look": applying(sample, OFF),
        "bootstrapper, its seed without a check": applying(compared),
    }


def url_of(server: Server) -> str:
    return f"postgresql://{APPLICATION}:starts@127.0.0.1:{server.port}/{DATABASE}"


def login(url: str) -> None:
    psycopg.connect(url + READABLE).close()


def bare(url: str) -> None:
    with psycopg.connect(url + READABLE) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall()


def applied(folder: Path, url: str, more: Mapping[str, str] | None = None) -> Outcome:
    asked = request_of(folder, url)
    return bootstrapper.apply(asked.file, environment=asked.environment, variables={**asked.variables, **(more or {})})


def applying(folder: Path, more: Mapping[str, str] | None = None) -> Start:
    def apply(url: str) -> None:
        if applied(folder, url, more).applied:
            raise SystemExit("there was something to do")

    return apply


def ways(server: Server) -> Iterator[Way]:
    yield Way("direct", server.port, url_of(server))
    try:
        with pooled(server) as pooler:
            yield Way("PgBouncer", pooler.port, pooler.url(url_of(server)))
    except AssertionError as error:
        show(f"{error}: left out")


@contextmanager
def pooled(server: Server) -> Iterator[PgBouncer]:
    with PgBouncer(server, "transaction", users={APPLICATION: "starts"}) as pooler:
        yield pooler


def table(way: Way, starts: dict[str, Start], rounds: int) -> Iterator[tuple[str, ...]]:
    counts = {name: counted(way, start) for name, start in starts.items()}
    times: dict[str, list[float]] = {name: [] for name in starts}
    for _ in range(rounds):
        for name, start in starts.items():
            began = time.perf_counter()
            start(way.url)
            times[name].append(time.perf_counter() - began)
    yardstick = statistics.median(times[BARE])
    for name, found in times.items():
        trips, statements = counts[name]
        median = statistics.median(found)
        times_of = (f"{median * 1000:.1f} ms", f"{median / yardstick:.1f}", f"{min(found) * 1000:.1f} ms")
        yield (way.name, name, str(trips), str(statements), *times_of)


def counted(way: Way, start: Start) -> tuple[int, int]:
    """Round trips and statements of one start, after one that is not counted and that warms up."""
    with CountingProxy(way.port) as proxy:
        url = proxy.url(way.url)
        start(url)
        eventually(lambda: proxy.is_quiet)
        proxy.forget()
        start(url)
        eventually(lambda: proxy.is_quiet)
        return proxy.round_trips, len(proxy.statements)


if __name__ == "__main__":
    main()
