"""A statement of another thread, sent on a connection only while its owner is in a known state."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from psycopg import Connection
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGresult


def interject(connection: Connection[Any], statement: bytes, states: Collection[TransactionStatus]) -> PGresult | None:
    """Returns the answer; None if the connection is in none of these states, or in the middle of something.

    State and statement are one: the owner cannot begin or end a transaction, a COPY or a pipeline in between. Raises
    psycopg.OperationalError where the connection is closed.
    """
    with connection.lock:
        pgconn = connection.pgconn
        if pgconn.transaction_status not in states or pgconn.pipeline_status != PipelineStatus.OFF:
            return None
        return pgconn.exec_(statement)


def status_of(connection: Connection[Any]) -> TransactionStatus:
    """Returns the state that its owner left the connection in, even while another thread uses it."""
    with connection.lock:
        return connection.info.transaction_status
