"""Many whole processes start at once and find nothing to do, as the pods of a deployment. Prints a table.

python benchmarks/arrivals.py [--replicas 300]

The repository's own bootstrap.yaml is applied once to a server with `max_connections` 60. Then all processes start
`bootstrapper apply` together, with and without the quick look, next to an application that connects continuously. The
yardstick is one such process by itself, times the number of processes, divided by the cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg

from benchmarks.tools import BIN, DATABASE, print_table, show
from tests.samples import copy_sample
from tests.servers import Server, path_bin, running_server, wheel_bin

MAX_CONNECTIONS = 60
WAYS: Mapping[str, Mapping[str, str]] = {"quick look": {}, "ordinary run": {"BOOTSTRAPPER_QUICK": "off"}}
HEAD = ("", "done", "one by itself", "last out", "ratio", "peak connections", "application refused")
_ALONE = 5


@dataclass
class Application:
    """Connects again and again, and counts connections and refusals."""

    url: str
    attempts: int = 0
    refused: int = 0
    peak: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._over.wait(0.02):
            self.attempts += 1
            try:
                with psycopg.connect(self.url, connect_timeout=10) as connection:
                    row = connection.execute(
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'bootstrapper%'"
                    ).fetchone()
                    self.peak = max(self.peak, row[0] if row else 0)
            except psycopg.Error:
                self.refused += 1

    def end(self) -> None:
        self._over.set()


@dataclass(frozen=True)
class Arrival:
    """How many of the processes succeeded, and what it took."""

    replicas: int
    done: int
    alone: float
    last_out: float
    application: Application

    @property
    def ratio(self) -> float:
        return self.last_out / (self.alone * self.replicas / (os.cpu_count() or 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=300)
    options = parser.parse_args()
    show(f"{options.replicas} at once, nothing to do, max_connections {MAX_CONNECTIONS}, {os.cpu_count()} cores")
    print_table([HEAD, *(_row(name, arrival) for name, [arrival] in measure([options.replicas]).items())])


def measure(sizes: Sequence[int]) -> dict[str, list[Arrival]]:
    """An arrival of each size, by the name of the way."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(path_bin() or wheel_bin(), max_connections=str(MAX_CONNECTIONS)) as server,
    ):
        server.create_database(DATABASE)
        sample = copy_sample(Path(folder) / "sample")
        variables = {**os.environ, "DATABASE_URL": server.url(DATABASE), "BOOTSTRAPPER_ENVIRONMENT": "development"}
        assert started(sample, variables).wait() == 0
        return {
            name: [arrive(sample, {**variables, **more}, server, replicas) for replicas in sizes]
            for name, more in WAYS.items()
        }


def started(folder: Path, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([str(BIN / "bootstrapper"), "apply", "-q"], cwd=folder, env=variables)


def arrive(sample: Path, variables: Mapping[str, str], server: Server, replicas: int) -> Arrival:
    alone = []
    for _ in range(_ALONE):
        began = time.perf_counter()
        assert started(sample, variables).wait() == 0
        alone.append(time.perf_counter() - began)
    application = Application(server.url())
    thread = threading.Thread(target=application.run)
    thread.start()
    began = time.perf_counter()
    processes = [started(sample, variables) for _ in range(replicas)]
    done = sum(process.wait() == 0 for process in processes)
    seconds = time.perf_counter() - began
    application.end()
    thread.join()
    return Arrival(replicas, done, statistics.median(alone), seconds, application)


def _row(name: str, arrival: Arrival) -> tuple[str, ...]:
    application = arrival.application
    return (
        name,
        f"{arrival.done} of {arrival.replicas}",
        f"{arrival.alone * 1000:.0f} ms",
        f"{arrival.last_out:.1f} s",
        f"{arrival.ratio:.2f}",
        str(application.peak),
        f"{application.refused} of {application.attempts}",
    )


if __name__ == "__main__":
    main()
