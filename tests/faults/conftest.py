"""Servers, replicas and the undisturbed runs that every other one is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.replicas import Nursery
from tests.faults.trials import Site
from tests.servers import running_server, wheel_bin


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as running:
        yield running


@pytest.fixture(scope="session")
def site(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of its own, where a committed transaction stays committed through every restart and kill."""
    with running_server(wheel_bin(), synchronous_commit="on", max_connections="60") as server:
        server.execute("CREATE ROLE deployer LOGIN PASSWORD 'deploys'")  # no superuser: reserved slots stay reserved
        yield Site(server, nursery, tmp_path_factory.mktemp("site"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder is the campaign of faults: `make faults` runs it, `make test` leaves it out."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("faults")
