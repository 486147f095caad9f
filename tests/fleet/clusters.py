"""A scheduler of Dask and workers, as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from distributed import Client

from tests.fleet.tenants import Fleet
from tests.servers import free_port
from tests.waiting import at_most


@dataclass(frozen=True)
class Cluster:
    """`workers` are the processes of the workers, or those that start them again."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: Sequence[subprocess.Popen[bytes]]


@contextmanager
def cluster(fleet: Fleet, *, workers: int, threads: int = 1, replaces: bool = False) -> Iterator[Cluster]:
    """Starts the processes; `replaces` says whether a worker that dies is started again."""
    address = f"tcp://127.0.0.1:{free_port()}"
    variables = {**fleet.variables(), "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
    dask = [sys.executable, "-m", "dask"]
    commands = [[*dask, "scheduler", "--host", address, "--no-dashboard", "--no-jupyter"]]
    options = ["--nanny" if replaces else "--no-nanny", "--nthreads", str(threads), "--no-dashboard"]
    commands += [[*dask, "worker", address, *options]] * workers
    with ExitStack() as stack:
        started = []
        for command in commands:
            process = subprocess.Popen(command, cwd=fleet.folder, env=variables, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
            started.append(process)
        with Client(address, timeout=at_most(60), set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=at_most(60))
        yield Cluster(address, started[0], started[1:])
