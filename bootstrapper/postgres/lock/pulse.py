"""Keeps a transaction from idling while code computes between two of its statements.

The server ends a transaction that idles for too long, so that a hanging process does not keep a lock for ever. One that
computes is told from it by a statement now and then, which only a process that is alive sends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.pq import TransactionStatus

from bootstrapper.postgres.connection.interjection import interject
from bootstrapper.postgres.lock import heartbeat
from bootstrapper.postgres.lock.periodic_thread import repeated

_IN_TRANSACTION = frozenset({TransactionStatus.INTRANS, TransactionStatus.INERROR})


@contextmanager
def pulse(connection: Connection[Any]) -> Iterator[None]:
    """Keeps the connection's transaction from idling for longer than a beat."""

    def beat() -> bool:
        try:
            interject(connection, b"SELECT 1", _IN_TRANSACTION)
        except psycopg.Error:
            return False  # the connection is gone, as its owner will notice
        return True

    with repeated(beat, heartbeat.BEAT_SECONDS, "bootstrapper-pulse"):
        yield
