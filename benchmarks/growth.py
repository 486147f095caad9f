"""How cost grows with revisions, rows and replicas: prints tables, keeps the figures, writes the page about them.

python benchmarks/growth.py [--topic revisions] [--small]

Takes about twelve minutes on two idle cores; `--small` leaves the largest sizes out and writes nothing. Figures are
kept in figures.json, and a topic that is not measured again stays as it was. `python benchmarks/page.py` makes
docs/benchmarks.md and its picture from them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import arrivals, migrations, seeds
from benchmarks.figures import FILE, Figure, read, write
from benchmarks.machine import about
from benchmarks.tools import print_table, show
from tests.servers import path_bin, running_server, wheel_bin

REVISIONS = {1: 3, 10: 3, 100: 3, 1000: 1}  # rounds by size
ROWS = {20: 3, 1000: 3, 100_000: 1, 1_000_000: 1}
REPLICAS = (1, 10, 100, 300)
SMALL = 1000
SEEDED_BY = ("bootstrapper update, CSV",)
HEAD = ("", "", "", "median", "spread", "ratio", "CPU", "peak memory")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topic", action="append", choices=TOPICS, help="may be repeated")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    most = SMALL if options.small else sys.maxsize
    found: list[Figure] = []
    for topic in options.topic or TOPICS:
        figures = TOPICS[topic](most)
        print_table([HEAD, *map(_row, figures)])
        found += figures
    if not options.small:
        kept = [figure for figure in read(FILE)[1] if figure.topic not in {one.topic for one in found}]
        write(FILE, about(), [*kept, *found])


def revisions(most: int) -> list[Figure]:
    with running_server(path_bin() or wheel_bin()) as server:
        return [
            figure
            for length, rounds in REVISIONS.items()
            if length <= most
            for figure in _shown(migrations.figures(server, length, rounds), length)
        ]


def rows(most: int) -> list[Figure]:
    with running_server(path_bin() or wheel_bin()) as server:
        return [
            figure
            for number, rounds in ROWS.items()
            if number <= most
            for figure in _shown(seeds.figures(server, number, rounds, SEEDED_BY), number)
        ]


def replicas(most: int) -> list[Figure]:
    found = arrivals.measure([number for number in REPLICAS if number <= most])
    return [
        Figure("replicas", one.replicas, "nothing to do", name, [one.last_out], [], one.ratio, 0)
        for name, arrived in found.items()
        for one in arrived
    ]


TOPICS: dict[str, Callable[[int], list[Figure]]] = {"revisions": revisions, "rows": rows, "replicas": replicas}


def _shown(figures: Sequence[Figure], size: int) -> Sequence[Figure]:
    show(f"{size}: done")
    return figures


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        str(figure.size),
        figure.work,
        figure.tool,
        f"{figure.median:.2f} s",
        figure.spread,
        f"{figure.ratio:.2f}",
        f"{figure.cpu_ratio:.2f}" if figure.cpu_seconds else "",
        f"{figure.mebibytes:.0f} MiB" if figure.mebibytes else "",
    )


if __name__ == "__main__":
    main()
