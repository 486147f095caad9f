"""Several statements in one round trip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import Connection


@contextmanager
def round_trip(connection: Connection[Any]) -> Iterator[None]:
    """Sends what the block executes without waiting for answers; raises the first error once all are there.

    psycopg logs a warning of its own where an error leaves the block before the pipeline has ended.
    """
    failed: psycopg.Error | None = None
    with connection.pipeline() as pipeline:
        try:
            yield
        except psycopg.Error as error:
            failed = error
            with suppress(psycopg.Error):
                pipeline.sync()
    if failed is not None:
        raise failed
