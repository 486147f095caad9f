"""Keeps a transaction from idling while code computes between two of its statements.

The server ends a transaction that idles for too long, so that a process that hangs keeps no lock for ever. One that
computes is told from it by a statement now and then, which only a process that is alive sends.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.pq import TransactionStatus

from bootstrapper.postgres.connection.interjection import interject
from bootstrapper.postgres.lock import heartbeat

_IN_TRANSACTION = frozenset({TransactionStatus.INTRANS, TransactionStatus.INERROR})


@contextmanager
def pulse(connection: Connection[Any]) -> Iterator[None]:
    """Within it the connection's transaction never idles for longer than a beat."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(heartbeat.BEAT_SECONDS):
            try:
                interject(connection, b"SELECT 1", _IN_TRANSACTION)
            except psycopg.Error:
                return  # the connection is gone, as its owner will notice

    thread = threading.Thread(target=beat, name="bootstrapper-pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
