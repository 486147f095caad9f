"""Statements that are sent together."""

from __future__ import annotations

import psycopg
import pytest

from bootstrapper.postgres.connection.pipelining import round_trip
from tests.faults.pgbouncer import PgBouncer
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


@pytest.mark.parametrize("leaves", ["by an error", "at its end"])
def test_behind_a_pooler_whose_server_is_gone_the_first_error_counts_and_the_connection_is_closed(
    server: Server, leaves: str
) -> None:
    with (
        PgBouncer(server, "transaction") as pooler,
        psycopg.connect(pooler.url(server.url()), autocommit=True, prepare_threshold=None) as connection,
    ):
        connection.execute("BEGIN")
        with pytest.raises(psycopg.OperationalError) as caught, round_trip(connection):
            ended = connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            connection.execute("SELECT 1")
            if leaves == "by an error":
                ended.fetchall()
        assert connection.closed
        # The second statement may find the connection closed before the answer to the first is read.
        is_told_by_the_server = isinstance(caught.value, psycopg.errors.AdminShutdown)
        assert is_told_by_the_server or "server closed the connection" in str(caught.value)
