"""Databases and projects for one scenario each, and the verdict on what a scenario left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from tests.faults.outcome import Snapshot, ledger_lies, snapshot, violations
from tests.faults.proxy import Proxy
from tests.faults.replicas import Nursery, Order, Replica
from tests.faults.workload import Workload
from tests.servers import Server

# Instead of the usual 15 s, which a run that is killed during a dump or a migration leaves behind.
LEASE_SECONDS = 1.5
# What a disturbed run may answer: done, failed, unreachable, fenced off or lock not free.
TRUTHFUL = {0, 1, 5, 7}


@dataclass
class Site:
    """A server with runs to let loose on it. Knows what an undisturbed one leaves and which boundaries it passes."""

    server: Server
    nursery: Nursery
    folder: Path
    _numbers: count[int] = field(default_factory=count)
    _expected: dict[str, Snapshot] = field(default_factory=dict)
    _places: dict[str, list[str]] = field(default_factory=dict)
    _traffic: dict[str, Proxy] = field(default_factory=dict)

    def trial(self, kind: str, *, owner: str | None = None, timeout: str = "60s") -> Trial:
        number = next(self._numbers)
        name = f"trial_{id(self)}_{number}"
        owned = f' OWNER "{owner}"' if owner else ""
        self.server.execute(f'CREATE DATABASE "{name}"{owned}')
        folder = self.folder / name
        return Trial(self, getattr(Workload, kind)(folder, timeout), name, kind)

    def expected(self, kind: str) -> Snapshot:
        self._learn(kind)
        return self._expected[kind]

    def places(self, kind: str) -> list[str]:
        """All boundaries of an undisturbed run, in order."""
        self._learn(kind)
        return self._places[kind]

    def traffic(self, kind: str) -> Proxy:
        """How many bytes and commits an undisturbed run takes."""
        if kind not in self._traffic:
            self._traffic[kind] = count_traffic(self.trial(kind))
        return self._traffic[kind]

    def _learn(self, kind: str) -> None:
        if kind in self._expected:
            return
        trial = self.trial(kind)
        log = trial.workload.folder / "boundaries"
        replica = trial.run(log=str(log))
        assert replica.exit_code == 0, replica.error
        self._places[kind] = [line.partition("\t")[0] for line in log.read_text().splitlines()]
        self._expected[kind] = snapshot(trial.url)
        trial.drop()


@dataclass
class Trial:
    """One database and one project, for one scenario."""

    site: Site
    workload: Workload
    name: str
    kind: str

    @property
    def url(self) -> str:
        return self.site.server.url(self.name)

    def order(self, **options: Any) -> Order:
        return Order(
            **{"folder": str(self.workload.folder), "url": self.url, "lease_seconds": LEASE_SECONDS, **options}
        )

    def start(self, **options: Any) -> Replica:
        return self.site.nursery.start(self.order(**options))

    def run(self, seconds: float = 90.0, **options: Any) -> Replica:
        return self.site.nursery.run(self.order(**options), seconds)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def drop(self) -> None:
        self.site.server.execute(f'DROP DATABASE "{self.name}" WITH (FORCE)')

    def lay_trap(self, place: str, whom: str, name: str = "SIGKILL") -> Path:
        """For the Alembic worker; the file is gone once it sprang."""
        file = self.workload.folder / "migrations/trap.json"
        file.write_text(json.dumps({"place": place, "whom": whom, "signal": name}))
        return file

    def verdict(self, *disturbed: Replica, expected: Snapshot | None = None, **options: Any) -> list[str]:
        """What is wrong now, and after one clean run with these options."""
        found = [*untruths(disturbed), *ledger_lies(self.url)]
        clean = self.run(**options)
        if clean.exit_code != 0:
            found.append(f"the clean run afterwards failed ({clean.exit_code}): {clean.error}")
        return found + violations(self.url, expected or self.site.expected(self.kind))


def untruths(replicas: Sequence[Replica]) -> list[str]:
    """Exits that no disturbed run may have."""
    return [
        f"replica {replica.number} exited with {replica.exit_code}: {replica.error}"
        for replica in replicas
        if replica.exit_code is not None and replica.exit_code >= 0 and replica.exit_code not in TRUTHFUL
    ]


def must_succeed(replicas: Sequence[Replica]) -> list[str]:
    return [
        f"replica {replica.number} exited with {replica.exit_code}: {replica.error}"
        for replica in replicas
        if replica.exit_code != 0
    ]


def count_traffic(trial: Trial) -> Proxy:
    """How many bytes and commits an undisturbed run takes."""
    with Proxy(trial.site.server.port) as proxy:
        url = trial.url.replace(f":{trial.site.server.port}/", f":{proxy.port}/")
        replica = trial.run(url=url)
        assert replica.exit_code == 0, replica.error
    return proxy


def poll(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.02)
