"""Real servers and fresh databases for every test."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.projects import TrialProject
from tests.servers import Server, path_bin, running_server, wheel_bin

_numbers = itertools.count(1)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell sets it for what it starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what tests start has it by default then


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """PostgreSQL of the embedded wheel."""
    with running_server(wheel_bin()) as running:
        yield running


@pytest.fixture(scope="session")
def path_server() -> Iterator[Server]:
    """The PostgreSQL on PATH; the wheel's where the machine has none."""
    with running_server(path_bin() or wheel_bin()) as running:
        yield running


@pytest.fixture
def new_database(server: Server) -> Iterator[Callable[[], str]]:
    """Makes empty databases and gives their URLs."""
    names = []

    def create() -> str:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        server.execute(f'CREATE DATABASE "{name}"')
        names.append(name)
        return server.url(name)

    yield create
    for name in names:
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    """The URL of a new, empty database."""
    return new_database()


@pytest.fixture
def project(tmp_path: Path, database: str) -> TrialProject:
    """A folder for a bootstrap.yaml that is about a new, empty database."""
    return TrialProject(tmp_path, database)
