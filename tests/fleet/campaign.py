"""Kills what does a fleet, in every wave, runs it again, and looks whether each target was done exactly once.

    python -m tests.fleet.campaign [--schemas 1000] [--databases 200] [--servers 4] [--workers 3] [--rounds 5]

A scheduler and workers of Dask run as processes of their own. The tests do the same with tens of targets.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg

from tests.fleet.clusters import cluster
from tests.fleet.scene import FAULTS, Scene, Target, servers, targets_of
from tests.fleet.tenants import Fleet
from tests.waiting import at_most

_TELLS_SECONDS = 15.0
CANARIES = 4
"""Enough of them for each fault."""

ONCE = """\
version: 1
name: campaign
database: {url: "${target.url}"}
ledger: {schema: "${target.schema}_ledger"}
fleet:
  targets: {file: targets.csv}
  waves:
    - {name: canary, first: CANARIES}
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


def declare(fleet: Fleet, targets: Sequence[Target], canaries: int, parallel: int) -> None:
    fleet.write(ONCE.replace("CANARIES", str(canaries)).replace("PARALLEL", str(parallel)))
    fleet.list([{"name": each.name, "url": each.url, "schema": each.schema} for each in targets])


class Progress:
    """Which targets the report tells as done; reads only the lines that are new."""

    def __init__(self, fleet: Fleet) -> None:
        self._path = fleet.folder / "report.jsonl"
        self._read_bytes = 0
        self.done: set[str] = set()
        self.again = 0

    def read(self) -> int:
        """Returns how many targets are done."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                for line in file:
                    if line.endswith(b"\n"):  # a run that is killed may leave the last one unfinished
                        self._read_bytes += len(line)
                        self._take(json.loads(line))
        return len(self.done)

    def _take(self, line: Mapping[str, Any]) -> None:
        if line["kind"] == "target":
            self.again += line["attempts"] - 1
            if line["outcome"] != "failed":
                self.done.add(line["target"])


def in_every_wave(total: int, rounds: int) -> list[tuple[int, str]]:
    """Returns each fault for each wave, so many times but for the canaries, and after how many targets it comes."""
    found = [(number, fault) for number, fault in enumerate(FAULTS, 1)]
    for begin, end in pairwise([CANARIES, CANARIES + (total + 1) // 2, total]):
        faults = list(FAULTS) * rounds
        found += [(begin + (end - begin) * n // (len(faults) + 1), fault) for n, fault in enumerate(faults, 1)]
    return found


@dataclass(frozen=True)
class Verified:
    """What was found in the databases and the report.

    Attributes:
        cut_off: How many runs of the ledgers have no end, maybe as one was killed after its last step.
    """

    targets: int
    runs: int
    cut_off: int


def verify(fleet: Fleet, targets: Sequence[Target]) -> Verified:
    """Raises AssertionError unless each target was done exactly once, and the report agrees with the ledgers."""
    runs: dict[str, set[str]] = {}
    for line in fleet.report():
        if line["kind"] == "target":
            runs.setdefault(line["target"], set()).update([line["run_id"]] if line["run_id"] else [])
    assert runs.keys() == {each.name for each in targets}
    found: Counter[bool] = Counter()
    for each in targets:
        with psycopg.connect(each.url, autocommit=True) as connection:
            rows = connection.execute(f'SELECT id FROM "{each.schema}".log'.encode()).fetchall()
            query = f'SELECT run_id::text, outcome FROM "{each.schema}_ledger".bootstrapper_runs'
            outcomes = dict(connection.execute(query.encode()).fetchall())
        done = {run for run, outcome in outcomes.items() if outcome == "done"}
        assert rows == [(1,)], f"{each.name} was not done exactly once: {rows}"
        assert runs[each.name] <= done, f"{each.name}: the report has runs that its ledger does not have"
        found.update(run in done for run in outcomes)
    return Verified(len(targets), found[True], found[False])


@dataclass(frozen=True)
class Ended:
    """How a trial went.

    Attributes:
        runs: How many were begun.
        again: How many attempts were not the first one of their run.
    """

    kills: Counter[str]
    runs: int
    again: int
    verified: Verified


def silent(text: str) -> None:
    """Says nothing."""


def trial(
    scene: Scene,
    targets: Sequence[Target],
    faults: Sequence[tuple[int, str]],
    say: Callable[[str], None] = silent,
    *,
    canaries: int = CANARIES,
    parallel: int = 3,
) -> Ended:
    """Does the fleet with faults, each after so many targets, and again until all are done; verifies the end."""
    declare(scene.fleet, targets, canaries, parallel)
    progress = Progress(scene.fleet)
    try:
        _go_through(scene, len(targets), faults, progress, say)
        scene.await_end()
    finally:
        scene.close()
    say("all done; runs once more, then looks at every target")
    again = scene.fleet.run("fleet", "apply", "--shard", "0/1", "--resume", "report.jsonl")
    assert again.returncode == 0, again.stderr
    assert " changed" not in again.stdout + again.stderr, again.stderr
    return Ended(Counter(fault for _, fault in faults), scene.runs, progress.again, verify(scene.fleet, targets))


def _go_through(
    scene: Scene, total: int, faults: Sequence[tuple[int, str]], progress: Progress, say: Callable[[str], None]
) -> None:
    scene.begin()
    left, until, told_at = list(faults), time.monotonic() + at_most(3600), time.monotonic()
    while (done := progress.read()) < total:
        assert time.monotonic() < until, f"{done} of {total} targets were done in time"
        if left and done >= left[0][0]:
            _, fault = left.pop(0)
            time.sleep(random.uniform(0.0, 0.5))  # a target has just ended: some way into the next one
            say(f"{done:5} of {total}: killed: {fault}")
            FAULTS[fault](scene)
        elif time.monotonic() > told_at + _TELLS_SECONDS:
            told_at = time.monotonic()
            say(f"{done:5} of {total}")
        if not scene.goes_on():
            scene.begin()
            say(f"{done:5} of {total}: run {scene.runs} begins")
        time.sleep(0.05)
    assert not left, f"not killed: {left}"


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
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemas", type=int, default=1000)
    parser.add_argument("--databases", type=int, default=200)
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is killed in a wave")
    parser.add_argument("--simulated", type=int, default=10_000, help="targets that do nothing, for the memory")
    asked = parser.parse_args()
    began = time.monotonic()
    with servers(asked.servers) as found, tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(Path(folder), found[0].server.url())
        say(f"makes {asked.databases} databases on {asked.servers} servers")
        targets = targets_of(found, asked.schemas, asked.databases)
        random.shuffle(targets)  # databases in every wave
        with cluster(fleet, workers=asked.workers, replaces=True) as dask:
            ended = trial(
                Scene(fleet, found, dask),
                targets,
                in_every_wave(len(targets), asked.rounds),
                say,
                parallel=asked.workers,
            )
    seconds = time.monotonic() - began
    peaks = {}
    for way in ("shard", "dask") if asked.simulated else ():
        with tempfile.TemporaryDirectory() as folder:
            say(f"{asked.simulated} simulated targets, {way}")
            peaks[way] = simulated(Path(folder), asked.simulated, way)["peak_mib"]
    say("done\n\n" + summary(asked, ended, seconds, peaks))


def summary(asked: argparse.Namespace, ended: Ended, seconds: float, peaks: Mapping[str, object]) -> str:
    verified = ended.verified
    kills = ", ".join(f"{number} x {fault}" for fault, number in ended.kills.items())
    lines = {
        "targets": f"{asked.schemas} schemas and {asked.databases} databases on {asked.servers} servers",
        "processes": f"1 coordinator, 1 scheduler and {asked.workers} workers, over TCP",
        "killed": f"{kills}; each in each of 3 waves",
        "runs": f"{ended.runs} until all was done, then one that found nothing to do",
        "tried again": f"{ended.again} attempts within runs; {verified.cut_off} runs of targets cut off",
        "verified": f"{verified.targets} targets: each done exactly once, none half; report and ledgers agree on all",
        "took": f"{seconds:.0f} s",
    }
    for way, peak in peaks.items():
        lines[f"memory, {way}"] = f"{peak:.0f} MiB at most for {asked.simulated} simulated targets"
    return "".join(f"{name:<15}{text}\n" for name, text in lines.items())


if __name__ == "__main__":
    main()
