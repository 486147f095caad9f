"""First load, and nothing to do, of generated rows: ours, beside psql, SQLAlchemy and Django. Prints tables.

python benchmarks/seeds.py [--rows 10000,100000,1000000] [--rounds 3] [--only NAME] [--commits-wait]

Whole processes, in turn, and the median of the rounds; before them comes a round that is not timed. Each load starts
with an empty table in a new database, each second run with the table as VACUUM (ANALYZE) leaves it. Peak memory is the
greatest that any round saw: the sum over all processes of the tool, without the server's. What goes row by row is
measured once where the table is long, and left out where it is longer still; so is YAML, which is for small fixtures.
--only takes the beginning of a name, as `bootstrapper`; what the ratios are to is measured all the same.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import products
from benchmarks.contestants import (
    CHANGED,
    COPY,
    FIRST,
    LOADDATA,
    TEMPORARY,
    UNCHANGED,
    YAML_FIRST,
    YAML_UNCHANGED,
    Contestant,
    find_contestants,
)
from benchmarks.figures import Figure
from benchmarks.tools import DATABASE, DURABLE, Run, print_table, show
from tests.servers import Server, path_bin, running_server, wheel_bin

HEAD = ("rows", "", "", "time", "ratio", "goal", "peak memory", "goal")
LARGE = 1_000_000
MOST_MEBIBYTES = 120
YARDSTICKS = {
    FIRST: (COPY, FIRST),
    UNCHANGED: (TEMPORARY, UNCHANGED),
    CHANGED: (TEMPORARY, UNCHANGED),
    YAML_FIRST: (LOADDATA, FIRST),
    YAML_UNCHANGED: (LOADDATA, UNCHANGED),
}
"""By work, what takes 1.00: a contestant, and the work that it does."""

Results = Mapping[tuple[str, str], "Measured"]


@dataclass
class Measured:
    """The runs of one contestant at one work."""

    runs: list[Run] = field(default_factory=list)
    mebibytes: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(run.seconds for run in self.runs)

    def add(self, run: Run, *, timed: bool) -> None:
        self.mebibytes = max(self.mebibytes, run.mebibytes)
        if timed:
            self.runs.append(run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="10000,100000,1000000", help="numbers with commas between them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", default=[], help="may be repeated")
    parser.add_argument("--commits-wait", action="store_true", help="fsync and synchronous_commit on")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(path_bin() or wheel_bin(), **(DURABLE if options.commits_wait else {})) as server,
    ):
        waits = "wait for the disk" if options.commits_wait else "do not wait for the disk"
        show(f"PostgreSQL {server.execute('SHOW server_version')[0][0]}, {os.cpu_count()} cores, commits {waits}")
        for rows in map(int, options.rows.split(",")):
            place = Path(folder) / str(rows)
            contestants = [
                contestant
                for contestant in find_contestants(place, rows, server)
                if not options.only or contestant.is_yardstick or contestant.name.startswith(tuple(options.only))
            ]
            print_table([HEAD, *report(rows, measure(server, contestants, rows, options.rounds))])
            shutil.rmtree(place)


def measure(server: Server, contestants: Sequence[Contestant], rows: int, rounds: int) -> Results:
    found = {(contestant.name, work): Measured() for contestant in contestants for work in contestant.works}
    for number in range(rounds + 1):  # the first one compiles what is compiled once, and warms the caches
        for contestant in contestants:
            if contestant.is_slow and number > 0:
                continue
            prepare(server)
            for work, run in turn(server, contestant, rows):
                found[contestant.name, work].add(run, timed=number > 0 or contestant.is_slow or rounds == 0)
    return found


def turn(server: Server, contestant: Contestant, rows: int) -> list[tuple[str, Run]]:
    """All that the contestant does, each after the one before; the load is not its own where it has none."""
    runs = []
    if contestant.load is not None:
        contestant.load.run()
    for work, tool in contestant.works.items():
        if work == CHANGED:
            server.execute(products.CHANGE_ONE_CELL, DATABASE)
        server.execute("CHECKPOINT")
        runs.append((work, tool.run()))
        loaded = server.execute("SELECT count(*) FROM products", DATABASE)[0][0]
        if loaded != rows:
            raise SystemExit(f"{contestant.name}, {work}: {loaded} rows instead of {rows}")
        server.execute("VACUUM (ANALYZE) products", DATABASE)
    return runs


def prepare(server: Server) -> None:
    server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    server.execute(f"CREATE DATABASE {DATABASE}")
    server.execute(products.CREATE_TABLE, DATABASE)


def figures(server: Server, rows: int, rounds: int, only: Sequence[str]) -> list[Figure]:
    """Of the yardsticks, and of those whose names are given."""
    with tempfile.TemporaryDirectory() as folder:
        everyone = find_contestants(Path(folder) / "rows", rows, server)
        found = measure(server, [one for one in everyone if one.is_yardstick or one.name in only], rows, rounds)
    return [
        Figure.of(
            "rows", rows, work, name, runs=one.runs, yardstick=found[YARDSTICKS[work]].runs, mebibytes=one.mebibytes
        )
        for (name, work), one in found.items()
    ]


def report(rows: int, found: Results) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for work, yardstick in YARDSTICKS.items():
        one = found.get(yardstick)
        for (name, done), measured in found.items():
            if done == work:
                seconds = measured.median
                lines.append(
                    (
                        str(rows),
                        work,
                        name,
                        f"{seconds:.2f} s",
                        f"{seconds / one.median:.2f}" if one else "",
                        goal(rows, work, name),
                        f"{measured.mebibytes:.0f} MiB",
                        memory_goal(rows, name),
                    )
                )
    return lines


def goal(rows: int, work: str, name: str) -> str:
    """The ratio to reach; those of a CSV file are about a large one."""
    if not name.startswith("bootstrapper"):
        return ""
    if work == YAML_UNCHANGED:
        return "<= 0.10"
    if rows < LARGE:
        return ""
    if work == FIRST:
        return "<= 1.20" if "create" in name else "<= 1.40"
    return "<= 0.20" if work == UNCHANGED else ""


def memory_goal(rows: int, name: str) -> str:
    return f"<= {MOST_MEBIBYTES} MiB" if name.startswith("bootstrapper") and rows >= LARGE else ""


if __name__ == "__main__":
    main()
