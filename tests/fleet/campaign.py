"""Kills what does a fleet, in every wave, runs it again, and looks whether each target was done exactly once.

    python -m tests.fleet.campaign [--schemas 1000] [--databases 200] [--servers 4]

The tests do the same with tens of targets.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg

from tests.fleet.tenants import Fleet
from tests.servers import Server, create_cluster, free_port, server_bin, server_folder, start, stop
from tests.waiting import at_most, eventually

ONCE = """\
version: 1
name: campaign
database: {url: "${target.url}"}
ledger: {schema: "${target.schema}_ledger"}
fleet:
  targets: {file: targets.csv}
  waves:
    - {name: canary, first: 2}
    - {name: half, share: 50%}
  parallel: PARALLEL
  per_server: 2
  budget: 100%
  retry: 2
steps:
  - uses: wait
    with: {timeout: 3s}
  - uses: lock
    with: {timeout: 5s}
  - uses: sql
    name: schema
    with:
      statement: |
        CREATE SCHEMA "${target.schema}";
        CREATE TABLE "${target.schema}".log (id int);
        SELECT pg_sleep(0.1)
    check: {table: "${target.schema}.log"}
  - uses: sql
    name: write
    with: {statement: 'INSERT INTO "${target.schema}".log SELECT 1 FROM pg_sleep(0.1)'}
    check: {once: written}
"""


class Running:
    """A server that can be stopped and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.server = Server(server_bin(), folder / "data", free_port())
        create_cluster(self.server)
        self._process = self._start()

    def restart(self, after_seconds: float) -> None:
        """Stops it at once, as a crash does, and starts it again later."""
        stop(self._process)
        time.sleep(after_seconds)
        self._process = self._start()

    def close(self) -> None:
        stop(self._process)

    def _start(self) -> subprocess.Popen[bytes]:
        return start(self.server, max_connections="100", synchronous_commit="on")  # it crashes


@contextmanager
def servers(number: int) -> Iterator[list[Running]]:
    with ExitStack() as stack:
        found = [Running(stack.enter_context(server_folder())) for _ in range(number)]
        for each in found:
            stack.callback(each.close)
        yield found


@dataclass(frozen=True)
class Target:
    name: str
    url: str
    schema: str


class Standing(Protocol):
    """A server of targets."""

    @property
    def server(self) -> Server: ...


def targets_of(found: Sequence[Standing], schemas: int, databases: int) -> list[Target]:
    """Returns schemas of one database of the first server, and databases of all servers, which are made."""
    first = found[0].server
    first.create_database("tenants")
    made = [Target(f"schema-{number}", first.url("tenants"), f"s{number}") for number in range(schemas)]
    for number in range(databases):
        server = found[number % len(found)].server
        server.create_database(f"tenant_{number}")
        made.append(Target(f"database-{number}", server.url(f"tenant_{number}"), "app"))
    return made


def declare(fleet: Fleet, targets: Sequence[Target], parallel: int) -> None:
    fleet.write(ONCE.replace("PARALLEL", str(parallel)))
    fleet.list([{"name": each.name, "url": each.url, "schema": each.schema} for each in targets])


def begin(fleet: Fleet, *options: str) -> subprocess.Popen[bytes]:
    """Starts a run in a session of its own; what it prints goes to a file."""
    with (fleet.folder / "printed").open("ab") as printed:
        command = fleet.command("fleet", "apply", *options)
        return subprocess.Popen(
            command, cwd=fleet.folder, env=fleet.variables(), stdout=printed, stderr=printed, start_new_session=True
        )


def ended(fleet: Fleet) -> int:
    """Returns how many targets the report tells."""
    report = fleet.folder / "report.jsonl"
    return report.read_bytes().count(b'"kind": "target"') if report.exists() else 0


def await_targets(fleet: Fleet, process: subprocess.Popen[bytes], number: int) -> None:
    eventually(lambda: ended(fleet) >= number or process.poll() is not None, at_most(300))


def workers(process: subprocess.Popen[bytes]) -> list[int]:
    """Returns the processes that work for a coordinator."""
    found = []
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


def kill_workers(fleet: Fleet, process: subprocess.Popen[bytes], found: Sequence[Running]) -> None:
    for pid in workers(process)[1:]:
        os.kill(pid, signal.SIGKILL)


def kill_coordinator(fleet: Fleet, process: subprocess.Popen[bytes], found: Sequence[Running]) -> None:
    left = workers(process)
    process.kill()
    process.wait()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left), at_most(60))


def restart_server(fleet: Fleet, process: subprocess.Popen[bytes], found: Sequence[Running]) -> None:
    found[-1].restart(after_seconds=1.0)


Fault = Callable[[Fleet, subprocess.Popen[bytes], Sequence[Running]], None]
FAULTS: dict[str, Fault] = {
    "workers": kill_workers,
    "coordinator": kill_coordinator,
    "server": restart_server,
}


@dataclass(frozen=True)
class Trial:
    """A fault, whenever so many targets are done.

    Attributes:
        first: Options of the first run.
        again: Options of those that continue it.
    """

    fault: Fault
    at: Sequence[int]
    parallel: int = 3
    first: Sequence[str] = ()
    again: Sequence[str] = ()


def carry_out(trial: Trial, fleet: Fleet, targets: Sequence[Target], found: Sequence[Running]) -> None:
    """Does the fleet with the faults, then again until all targets are done; verifies the end."""
    declare(fleet, targets, trial.parallel)
    process = begin(fleet, "--report", "report.jsonl", *trial.first)
    for number in trial.at:
        await_targets(fleet, process, number)
        if process.poll() is None:
            trial.fault(fleet, process, found)
        if process.poll() is not None:
            process = begin(fleet, "--resume", "report.jsonl", *trial.again)
    process.wait(at_most(3600))
    again = fleet.run("fleet", "apply", "--shard", "0/1", "--resume", "report.jsonl")
    assert again.returncode == 0, again.stderr
    verify(fleet, targets)


def verify(fleet: Fleet, targets: Sequence[Target]) -> None:
    """Raises AssertionError unless each target was done exactly once, and the report agrees with the ledgers."""
    runs: dict[str, set[str]] = {}
    for line in fleet.report():
        if line["kind"] == "target" and line["run_id"] is not None:
            runs.setdefault(line["target"], set()).add(line["run_id"])
    for each in targets:
        with psycopg.connect(each.url, autocommit=True) as connection:
            rows = connection.execute(f'SELECT id FROM "{each.schema}".log'.encode()).fetchall()
            ledger = f'"{each.schema}_ledger".bootstrapper_runs'
            query = f"SELECT run_id::text FROM {ledger} WHERE outcome = 'done'"
            done = {str(run) for (run,) in connection.execute(query.encode()).fetchall()}
        assert rows == [(1,)], f"{each.name} was not done exactly once: {rows}"
        assert runs.get(each.name, set()) <= done, f"{each.name}: the report has runs that its ledger does not have"
    assert {line["target"] for line in fleet.report() if line["kind"] == "target"} == {each.name for each in targets}


def simulated(folder: Path, number: int, way: str) -> dict[str, object]:
    """Returns what became of so many targets that do nothing, and the peak memory of their coordinator."""
    fleet = Fleet(folder, "postgresql://u@127.0.0.1:1/app")
    fleet.declare("parallel: 2\nbudget: 100%")
    fleet.list_schemas(number)
    command = [sys.executable, "-m", "tests.fleet.stubs", str(folder / "bootstrap.yaml"), way]
    done = subprocess.run(command, env=fleet.variables(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schemas", type=int, default=1000)
    parser.add_argument("--databases", type=int, default=200)
    parser.add_argument("--servers", type=int, default=4)
    asked = parser.parse_args()
    total = asked.schemas + asked.databases
    for name, fault in FAULTS.items():
        with servers(asked.servers) as found, tempfile.TemporaryDirectory() as folder:
            fleet = Fleet(Path(folder), found[0].server.url())
            targets = targets_of(found, asked.schemas, asked.databases)
            began = time.monotonic()
            carry_out(Trial(fault, [1, total // 4, total * 3 // 4]), fleet, targets, found)
            say(f"{name}: {total} targets, each exactly once, in {time.monotonic() - began:.0f} s")
    for way in ("shard", "dask"):
        with tempfile.TemporaryDirectory() as folder:
            say(f"10,000 simulated targets, {way}: {simulated(Path(folder), 10_000, way)}")


if __name__ == "__main__":
    main()
