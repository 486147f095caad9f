"""The server, or the pooler, goes down and comes back while runs go on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.replicas import Nursery
from tests.faults.scenarios import server_restarts
from tests.faults.trials import Site
from tests.servers import Server, create_cluster, free_port, start, stop, wheel_bin

SAFE = {"synchronous_commit": "on"}
HOW = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


@dataclass
class Restartable:
    """A site whose server can be taken down."""

    site: Site
    process: subprocess.Popen[bytes]

    def restart(self, how: str) -> None:
        self.process.send_signal(HOW[how])
        self.process.wait(30)
        self.process = start(self.site.server, **SAFE)


@pytest.fixture(scope="module")
def restartable(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restartable]:
    folder = Path(tempfile.mkdtemp(prefix="bs-"))
    server = Server(wheel_bin(), folder / "data", free_port())
    create_cluster(server)
    running = Restartable(Site(server, nursery, tmp_path_factory.mktemp("site")), start(server, **SAFE))
    yield running
    stop(running.process)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("after_seconds", [0.05, 0.3, 0.6])
def test_a_run_whose_server_restarts_leaves_nothing_half(
    restartable: Restartable, how: str, after_seconds: float
) -> None:
    trial = restartable.site.trial("full")
    restartable.site.expected("full")  # learned while the server is up
    assert server_restarts(trial, lambda: restartable.restart(how), after_seconds) == []
