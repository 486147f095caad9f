"""A database with something in it, and stand-ins for pg_dump that fail in the ways that the real one does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backups.contexts import Bench, make_bench, shared_database
from tests.servers import Server, wheel_bin


@pytest.fixture(scope="module")
def module_database(server: Server) -> Iterator[str]:
    with shared_database(server, "backups") as url:
        yield url


@pytest.fixture
def bench(module_database: str, tmp_path: Path) -> Iterator[Bench]:
    made = make_bench(module_database, tmp_path)
    made.execute("CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL)")
    made.execute("INSERT INTO users SELECT n, n || '@example.com' FROM generate_series(1, 1000) AS n")
    yield made
    made.clean()


@pytest.fixture
def fake_dump(tmp_path: Path) -> Callable[[str], str]:
    """Makes a PATH whose pg_dump is a script, preferred for its version; $REAL is the true one."""

    def make(script: str) -> str:
        folder = tmp_path / "fake bin"
        folder.mkdir()
        dump = f"#!/bin/sh\nREAL='{wheel_bin()}/pg_dump'\n"
        dump += f'[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 18.99" && exit\n{script}\n'
        (folder / "pg_dump").write_text(dump)
        (folder / "pg_dump").chmod(0o755)
        (folder / "pg_restore").symlink_to(wheel_bin() / "pg_restore")
        return f"{folder}:/usr/bin:/bin"

    return make
