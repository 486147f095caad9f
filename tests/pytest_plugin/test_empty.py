"""Empty databases for tests of plugins."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from bootstrapper.pytest_plugin.empty import EmptyDatabases
from bootstrapper.pytest_plugin.sharing import NotMadeError
from bootstrapper.pytest_plugin.wanted import Wanted


def has_tables(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return bool(connection.execute("SELECT FROM pg_tables WHERE schemaname = 'public'").fetchall())


@pytest.mark.parametrize("is_own", [False, True], ids=["a named server", "an embedded one"])
def test_each_database_is_empty_and_dropped_at_its_end(tmp_path: Path, database: str, is_own: bool) -> None:
    databases = EmptyDatabases(Wanted(tmp_path, tmp_path, url=None if is_own else database))
    try:
        with databases.new() as first, databases.new() as second:
            with psycopg.connect(first) as connection:
                connection.execute("CREATE TABLE made ()")
            assert (has_tables(first), has_tables(second)) == (True, False)
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(first)
    finally:
        databases.close()


def test_a_server_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    databases = EmptyDatabases(Wanted(tmp_path, tmp_path, url="postgresql://trial@127.0.0.1:1/trial"))
    with pytest.raises(NotMadeError, match="tests of plugins need a server: connection failed"), databases.new():
        pass
    unset = EmptyDatabases(Wanted(tmp_path, tmp_path, url="${TEST_DATABASE_URL_OF_NOBODY}"))
    with pytest.raises(NotMadeError, match=r"\$TEST_DATABASE_URL_OF_NOBODY is not set"), unset.new():
        pass
