"""Statements that are sent together."""

from __future__ import annotations

import psycopg
import pytest

from bootstrapper.postgres.pipelining import round_trip
from tests.servers import Server


def test_the_first_error_comes_out_and_nothing_is_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with psycopg.connect(server.url()) as connection:
        connection.execute("SAVEPOINT here")
        with pytest.raises(psycopg.errors.DivisionByZero), round_trip(connection):
            connection.execute("SELECT 1 / 0")
            for _ in range(2_000):  # enough that the answer comes while statements are still being sent
                connection.execute("SELECT pg_catalog.repeat('x', 10000)")
        connection.execute("ROLLBACK TO SAVEPOINT here")
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not caplog.records
