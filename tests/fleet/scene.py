"""Servers, a cluster and runs of a fleet as processes of their own, which can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.fleet.clusters import Cluster
from tests.fleet.tenants import Fleet
from tests.servers import Server, create_cluster, free_port, server_bin, server_folder, start, stop
from tests.waiting import at_most, eventually


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


@dataclass
class Scene:
    """A fleet that is being done, and what can be killed.

    Attributes:
        first: Options of the first run.
        again: Options of those that continue it.
    """

    fleet: Fleet
    servers: Sequence[Running]
    cluster: Cluster | None = None
    first: Sequence[str] = ()
    again: Sequence[str] = ()
    runs: int = 0
    restarts: int = 0
    process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Starts a run in a session of its own; what it prints goes to a file."""
        options = ["--resume", "report.jsonl", *self.again] if self.runs else ["--report", "report.jsonl", *self.first]
        if self.cluster is not None:
            options += ["--scheduler", self.cluster.address]
        self.runs += 1
        with (self.fleet.folder / "printed").open("ab") as printed:
            self.process = subprocess.Popen(
                self.fleet.command("fleet", "apply", *options),
                cwd=self.fleet.folder,
                env=self.fleet.variables(),
                stdout=printed,
                stderr=printed,
                start_new_session=True,
            )

    def goes_on(self) -> bool:
        """Returns whether the run goes on; raises AssertionError if it ended otherwise than by a kill or failures."""
        assert self.process is not None
        code = self.process.poll()
        printed = (self.fleet.folder / "printed").read_text()
        assert code in (None, 0, 1, -signal.SIGKILL), f"the run ended with {code}:\n{printed[-2000:]}"
        return code is None

    def await_end(self) -> None:
        assert self.process is not None
        self.process.wait(at_most(600))

    def close(self) -> None:
        """Ends the run where it is, if it still goes on."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def workers(self) -> list[int]:
        assert self.process is not None
        parents = [self.process] if self.cluster is None else self.cluster.workers
        return [pid for parent in parents for pid in _spawned(parent.pid)]


def _spawned(parent: int) -> Iterator[int]:
    with suppress(OSError):  # it ended
        for task in Path(f"/proc/{parent}/task").iterdir():
            for pid in map(int, (task / "children").read_text().split()):
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    yield pid


def kill_workers(scene: Scene) -> None:
    for pid in scene.workers()[1:]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_coordinator(scene: Scene) -> None:
    left = scene.workers() if scene.cluster is None else []  # those of a cluster of its own end with it
    scene.close()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left), at_most(60))


def restart_server(scene: Scene) -> None:
    """Stops the servers in turn; the first one has the most targets."""
    scene.restarts += 1
    scene.servers[scene.restarts % len(scene.servers)].restart(after_seconds=1.0)


FAULTS: dict[str, Callable[[Scene], None]] = {
    "workers": kill_workers,
    "coordinator": kill_coordinator,
    "server": restart_server,
}
