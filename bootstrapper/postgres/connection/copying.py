"""COPY into a table in constant memory."""

from __future__ import annotations

import select
from collections.abc import Iterable
from typing import Any

from psycopg import Connection, sql


def copy_rows(connection: Connection[Any], statement: sql.Composed, chunks: Iterable[bytes]) -> int:
    """Sends the chunks; returns the number of rows that the server took.

    libpq keeps what the socket does not take at once, and psycopg does not wait for it on Linux: a large file would
    stand in memory whole. Whatever `chunks` raises ends the COPY and is passed on.
    """
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for chunk in chunks:
                copy.write(chunk)
                _flush(connection)
        return cursor.rowcount


def _flush(connection: Connection[Any]) -> None:
    """Waits until all is sent, and reads meanwhile, since the server may send an error."""
    pgconn = connection.pgconn
    while pgconn.flush():
        readable, _, _ = select.select([pgconn.socket], [pgconn.socket], [])
        if readable:
            pgconn.consume_input()
