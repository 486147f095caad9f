"""Many rows from files of several formats: ours, next to what a person would write with psycopg and psql.

python benchmarks/rows.py [--only NAME] [--rounds 3] [--commits-wait]

Whole processes, the yardstick and bootstrapper in turn, each with its own database, and the median of the rounds. The
CPU time is that of the tool and of its connections to the server; on a busy machine it varies less than the time.
Peak memory is that of all processes of the tool, without the server, and the maximum of all rounds. Works that begin
with empty tables are run once more before, untimed; the tables of the others are filled by bootstrapper first. Before
each step, a checkpoint, and VACUUM (ANALYZE) unless the tables are empty. `--only` takes a prefix of the name of a
work; `--rounds 0` measures once, without a warm-up.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.tools import DATABASE, DURABLE, Run, Tool, print_table, show
from benchmarks.works import PEER_DATABASE, WORKS, Step, Work
from tests.servers import Server, path_bin, running_server, wheel_bin

HEAD = ("rows", "work", "step", "yardstick", "", "", "ours", "", "", "ratio", "", "goal")
HEAD_2 = ("", "", "", *("s", "CPU s", "MiB") * 2, "s", "CPU s", "")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Measured:
    """The runs of one step."""

    yardstick: list[Run] = field(default_factory=list)
    ours: list[Run] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], help=f"may be repeated: {', '.join(WORKS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commits-wait", action="store_true", help="fsync and synchronous_commit on")
    options = parser.parse_args()
    chosen = [name for name in WORKS if not options.only or name.startswith(tuple(options.only))]
    lines: list[tuple[str, ...]] = [HEAD, HEAD_2]
    with running_server(path_bin() or wheel_bin(), **(DURABLE if options.commits_wait else {})) as server:
        waits = "wait for the disk" if options.commits_wait else "do not wait for the disk"
        show(f"PostgreSQL {server.execute('SHOW server_version')[0][0]}, {os.cpu_count()} cores, commits {waits}")
        for name in chosen:
            with tempfile.TemporaryDirectory() as folder:
                work = WORKS[name](Path(folder), server)
                for line in report(name, work, measure(work, server, options.rounds)):
                    show("  ".join(line))
                    lines.append(line)
    print_table(lines)


def measure(work: Work, server: Server, rounds: int) -> dict[str, Measured]:
    found = {step.name: Measured() for step in work.steps}
    if work.load:
        prepare(work, server)
    warm_ups = 0 if work.load or rounds == 0 else 1
    for number in range(max(rounds, 1) + warm_ups):
        if not work.load:
            prepare(work, server)
        for step in work.steps:
            yardstick = turn(server, PEER_DATABASE, work, step, step.yardstick)
            ours = turn(server, DATABASE, work, step, step.ours)
            if number >= warm_ups:
                found[step.name].yardstick.append(yardstick)
                found[step.name].ours.append(ours)
    return found


def prepare(work: Work, server: Server) -> None:
    for database in (PEER_DATABASE, DATABASE):
        server.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {database}")
        server.execute(work.table.create, database)
        for tool in work.load.get(database, ()):
            tool.run()


def turn(server: Server, database: str, work: Work, step: Step, tool: Tool) -> Run:
    """Runs one tool, and ends the benchmark if it left other rows than expected: that would prove nothing."""
    if step.before:
        server.execute(step.before, database)
    if work.load or step != work.steps[0]:  # with statistics of an empty table, a join would read it for each new row
        server.execute("VACUUM (ANALYZE)", database)
    server.execute("CHECKPOINT")
    before, used = sessions(server), server_seconds(server)
    run = tool.run()
    while sessions(server) - before:
        time.sleep(0.02)
    run = replace(run, cpu_seconds=run.cpu_seconds + server_seconds(server) - used)
    left = server.execute(work.table.count, database)[0]
    if left != (work.rows, step.leaves):
        raise SystemExit(f"{tool.name}, {step.name}: {left} rows and changed rows, not {work.rows}, {step.leaves}")
    return run


def sessions(server: Server) -> set[str]:
    """The processes of the server, until it has noticed their end and counts their CPU time."""
    pid = server_pid(server)
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def server_seconds(server: Server) -> float:
    """The CPU time of all processes of the server that have ended."""
    fields = Path(f"/proc/{server_pid(server)}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / _TICKS


def server_pid(server: Server) -> str:
    return (server.data / "postmaster.pid").read_text().split()[0]


def report(name: str, work: Work, found: dict[str, Measured]) -> Iterator[tuple[str, ...]]:
    for step in work.steps:
        measured = found[step.name]
        yardstick, ours = (median(runs) for runs in (measured.yardstick, measured.ours))
        yield (
            str(work.rows),
            name,
            step.name,
            *show_run(yardstick),
            *show_run(ours),
            f"{ours.seconds / yardstick.seconds:.2f}",
            f"{ours.cpu_seconds / yardstick.cpu_seconds:.2f}",
            f"<= {step.most:.2f}",
        )


def median(runs: list[Run]) -> Run:
    seconds = statistics.median(run.seconds for run in runs)
    cpu_seconds = statistics.median(run.cpu_seconds for run in runs)
    return Run(seconds, max(run.mebibytes for run in runs), cpu_seconds)


def show_run(run: Run) -> tuple[str, str, str]:
    return f"{run.seconds:.2f}", f"{run.cpu_seconds:.2f}", f"{run.mebibytes:.0f}"


if __name__ == "__main__":
    main()
