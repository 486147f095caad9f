"""First apply and nothing to do, over generated histories: ours, beside the peers. Prints a table.

python benchmarks/migrations.py [--revisions 100] [--rounds 5] [--only NAME] [--commits-wait]

Whole processes, in turn, and the median of the rounds with the fastest and the slowest. CPU is the processor time of
all processes of a tool, without the server. Before the rounds comes one that is not timed: there the peak memory is
read, what all processes of the tool held together at most, shared pages counted once (Pss). Slow tools are measured
once where a history is long.
Peers that are missing are installed (installed.py).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import Figure
from benchmarks.migrators import PEER, find_migrators
from benchmarks.tools import DATABASE, DURABLE, Run, Tool, print_table, show
from tests.servers import Server, path_bin, running_server, wheel_bin

HEAD = ("revisions", "", *("first apply", "", "ratio", "CPU"), *("nothing to do", "", "ratio", "CPU"), "peak memory")
FIRST, AGAIN = "first apply", "nothing to do"


@dataclass
class Measured:
    first: list[Run] = field(default_factory=list)
    again: list[Run] = field(default_factory=list)
    peak: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revisions", type=int, action="append", help="may be repeated; 100 and 1000 without it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", default=[], help="beside alembic; may be repeated")
    parser.add_argument("--commits-wait", action="store_true", help="fsync and synchronous_commit on")
    options = parser.parse_args()
    rows = [HEAD]
    with running_server(path_bin() or wheel_bin(), **(DURABLE if options.commits_wait else {})) as server:
        waits = "wait for the disk" if options.commits_wait else "do not wait for the disk"
        show(f"PostgreSQL {server.execute('SHOW server_version')[0][0]}, {os.cpu_count()} cores, commits {waits}")
        for length in options.revisions or (100, 1000):
            rows += table(figures(server, length, options.rounds, options.only))
    print_table(rows)


def figures(server: Server, length: int, rounds: int, only: Sequence[str] = ()) -> list[Figure]:
    """Two figures a tool, of its first run and of the one after it."""
    with tempfile.TemporaryDirectory() as folder:
        tools = [
            tool for tool in find_migrators(Path(folder), length, server) if not only or tool.name in (PEER, *only)
        ]
        found = measure(server, tools, rounds)
    peer = found[PEER]
    return [
        figure
        for name, tool in found.items()
        for figure in (
            Figure.of("revisions", length, FIRST, name, runs=tool.first, yardstick=peer.first, mebibytes=tool.peak),
            Figure.of("revisions", length, AGAIN, name, runs=tool.again, yardstick=peer.again, mebibytes=tool.peak),
        )
    ]


def measure(server: Server, tools: Sequence[Tool], rounds: int) -> dict[str, Measured]:
    found = {tool.name: Measured() for tool in tools}
    for tool in tools:  # compiles what is compiled once, and warms the caches
        empty(server)
        found[tool.name].peak = tool.weigh()
    for number in range(rounds):
        for tool in tools:
            if tool.is_slow and number > 0:
                continue
            empty(server)
            found[tool.name].first.append(tool.run())
            found[tool.name].again.append(tool.run())
    return found


def table(figures: Sequence[Figure]) -> Iterator[tuple[str, ...]]:
    found: Mapping[tuple[str, str], Figure] = {(figure.tool, figure.work): figure for figure in figures}
    for figure in figures:
        if figure.work == FIRST:
            again = found[figure.tool, AGAIN]
            peak = f"{figure.mebibytes:.0f} MiB"
            yield (str(figure.size), figure.tool, *_columns(figure), *_columns(again), peak)


def _columns(figure: Figure) -> tuple[str, ...]:
    return f"{figure.median:.2f} s", figure.spread, f"{figure.ratio:.2f}", f"{figure.cpu_ratio:.2f}"


def empty(server: Server) -> None:
    server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    server.execute(f"CREATE DATABASE {DATABASE}")


if __name__ == "__main__":
    main()
