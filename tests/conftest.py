"""Real servers and fresh databases for every test."""

from __future__ import annotations

import compileall
import itertools
import os
import signal
import sys
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.majors import chosen_bin, major_of
from tests.projects import TrialProject
from tests.servers import Server, has_extension, path_bin, running_server, server_bin, wheel_bin
from tests.waiting import pace

PACKAGE = Path(__file__).parents[1] / "bootstrapper"

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Measures the machine before anything runs, and ends with what it started however it is told to end."""
    if not hasattr(config, "workerinput"):
        # Images set PYTHONDONTWRITEBYTECODE; then each of the thousands of processes would compile it all again.
        compileall.compile_dir(PACKAGE, quiet=2)
    pace()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell ignores it for what it starts in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keeps the rewritten tests too, so that they are rewritten once and not by each worker of each session."""
    told, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    try:
        return (yield)
    finally:
        sys.dont_write_bytecode = told


def pytest_report_header() -> str:
    part, parts = part_of_long_tests()
    return f"deadlines: {pace():g} times as long as on a quiet machine; long tests: part {part} of {parts}"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """PostgreSQL of the embedded wheel, or the one that BOOTSTRAPPER_TEST_SERVER names."""
    with running_server(server_bin()) as running:
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
        server.create_database(name)
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


@pytest.fixture
def role(server: Server, project: TrialProject) -> Iterator[Callable[..., None]]:
    """Makes the project log in as a role of its own, with settings; the role may create nothing."""
    name = f"role_{threading.get_ident()}_{time.monotonic_ns()}"
    owner = project.database
    server.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'p'")

    def use(*statements: str) -> None:
        with psycopg.connect(owner, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.replace("{role}", f'"{name}"').encode())
        database = owner.rpartition("/")[2]
        project.database = f"postgresql://{name}:p@127.0.0.1:{server.port}/{database}"

    yield use
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
    server.execute(f'DROP ROLE "{name}"')


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves one part of the long tests, and with a server of choice what is asked of that server."""
    part, parts = part_of_long_tests()
    kept = [item for item in items if parts == 1 or not item.get_closest_marker("long") or part == turn(item, parts)]
    chosen = chosen_bin()
    if chosen is not None:
        major = major_of(chosen)
        kept = [item for item in kept if is_about_the_server(item) and is_possible(item, chosen, major)]
    left_out = set(items) - set(kept)
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = kept


def part_of_long_tests() -> tuple[int, int]:
    """Which part of the long tests is run, of how many: all of them, unless BOOTSTRAPPER_TEST_PART is such as 2/3."""
    part, _, parts = os.environ.get("BOOTSTRAPPER_TEST_PART", "1/1").partition("/")
    return int(part), int(parts)


def turn(item: pytest.Item, parts: int) -> int:
    """The part that the test belongs to, the same on every machine."""
    return zlib.crc32(item.nodeid.encode()) % parts + 1


def is_about_the_server(item: pytest.Item) -> bool:
    return "server" in getattr(item, "fixturenames", ())


def is_possible(item: pytest.Item, chosen: Path, major: int) -> bool:
    if item.get_closest_marker("pgvector") and not has_extension(chosen, "vector"):
        return False
    if item.get_closest_marker("programs") and not (chosen / "pg_dump").exists():
        return False
    return all(major >= marker.args[0] for marker in item.iter_markers("since"))
