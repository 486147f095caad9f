"""First apply and nothing to do, over generated histories: ours, beside Alembic, dbmate and Django. Prints a table.

python benchmarks/migrations.py [--revisions 100] [--rounds 5] [--only NAME] [--commits-wait]

Whole processes, in turn, and the median of the rounds. CPU is the processor time of all processes of a tool, without
the server. Before the rounds comes one that is not timed: there the peak memory is read, the sum of the peaks of all
processes of the tool. Django is measured once where a history is long.
dbmate is looked for on PATH, Django is installed into a virtual environment below .venv; who is not there is left out,
and it is said.
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

from benchmarks import histories
from benchmarks.tools import (
    BIN,
    DATABASE,
    DURABLE,
    Run,
    Tool,
    django_database,
    django_python,
    print_table,
    show,
)
from tests.servers import Server, path_bin, running_server, wheel_bin

HEAD = ("revisions", "", "first apply", "ratio", "CPU", "nothing to do", "ratio", "CPU", "peak memory")
PEER = "alembic"
ORDINARY = "import sys; sys.argv[1:] = ['apply']; from bootstrapper.cli import run; run()"


@dataclass
class Measured:
    first: list[Run] = field(default_factory=list)
    again: list[Run] = field(default_factory=list)
    peak: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revisions", type=int, action="append", help="may be repeated; 100 and 1000 without it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", help="beside alembic; may be repeated")
    parser.add_argument("--commits-wait", action="store_true", help="fsync and synchronous_commit on")
    options = parser.parse_args()
    settings = DURABLE if options.commits_wait else {}
    rows = [HEAD]
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(path_bin() or wheel_bin(), **settings) as server,
    ):
        waits = "wait for the disk" if options.commits_wait else "do not wait for the disk"
        show(f"PostgreSQL {server.execute('SHOW server_version')[0][0]}, {os.cpu_count()} cores, commits {waits}")
        for length in options.revisions or (100, 1000):
            tools = find_tools(Path(folder) / str(length), length, server)
            chosen = [tool for tool in tools if not options.only or tool.name in (PEER, *options.only)]
            rows += table(length, measure(server, chosen, options.rounds))
    print_table(rows)


def find_tools(folder: Path, length: int, server: Server) -> list[Tool]:
    url = server.url(DATABASE)
    histories.write_alembic(folder / "alembic", length, url)
    upgrade = [str(BIN / "alembic"), "upgrade", "head"]
    address = {"DATABASE_URL": url}
    tools = [
        Tool(PEER, upgrade, folder / "alembic"),
        Tool(f"{PEER}, a transaction each", upgrade, folder / "alembic", {"TRANSACTION_PER_MIGRATION": "1"}),
        Tool("bootstrapper", [str(BIN / "bootstrapper"), "apply"], folder / "alembic", address),
        Tool("bootstrapper, no quick look", [sys.executable, "-c", ORDINARY], folder / "alembic", address),
    ]
    dbmate = shutil.which("dbmate")
    if dbmate:
        histories.write_dbmate(folder / "dbmate", length)
        options = ["--url", f"{url}?sslmode=disable", "-d", str(folder / "dbmate"), "--no-dump-schema"]
        tools.append(Tool("dbmate", [dbmate, *options, "migrate"], folder))
    else:
        show("dbmate is not on PATH: left out")
    python = django_python()
    if python:
        database = django_database(server.port, server.user, server.password)
        histories.write_django(folder / "django", length, database)
        command = [str(python), "-m", "django", "migrate"]
        settings = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(folder / "django")}
        is_slow = length > 500
        tools.append(Tool("django", command, folder / "django", settings, is_slow=is_slow))
    else:
        show("Django can not be installed: left out")
    return tools


def measure(server: Server, tools: Sequence[Tool], rounds: int) -> dict[str, Measured]:
    found = {tool.name: Measured() for tool in tools}
    for tool in tools:  # compiles what is compiled once, and warms the caches
        empty(server)
        found[tool.name].peak = tool.run().mebibytes
    for number in range(rounds):
        for tool in tools:
            if tool.is_slow and number > 0:
                continue
            empty(server)
            found[tool.name].first.append(tool.run())
            found[tool.name].again.append(tool.run())
    return found


def table(length: int, found: Mapping[str, Measured]) -> list[tuple[str, ...]]:
    peer = found[PEER]
    return [
        (
            str(length),
            name,
            *columns(tool.first, peer.first),
            *columns(tool.again, peer.again),
            f"{tool.peak:.0f} MiB",
        )
        for name, tool in found.items()
    ]


def columns(runs: Sequence[Run], peers: Sequence[Run]) -> tuple[str, str, str]:
    """The time, and the ratios to the peer's of time and CPU."""
    seconds, cpu = median(runs)
    peer_seconds, peer_cpu = median(peers)
    return f"{seconds:.2f} s", f"{seconds / peer_seconds:.2f}", f"{cpu / peer_cpu:.2f}"


def median(runs: Sequence[Run]) -> tuple[float, float]:
    return statistics.median(run.seconds for run in runs), statistics.median(run.cpu_seconds for run in runs)


def empty(server: Server) -> None:
    server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    server.execute(f"CREATE DATABASE {DATABASE}")


if __name__ == "__main__":
    main()
