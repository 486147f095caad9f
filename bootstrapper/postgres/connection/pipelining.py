"""Several statements in one round trip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.pq import PipelineStatus


@contextmanager
def round_trip(connection: Connection[Any]) -> Iterator[None]:
    """Sends what the block executes without waiting for answers; raises the first error once all are there.

    psycopg logs a warning of its own where an error leaves the block before the pipeline has ended. A pipeline that
    cannot be left makes the connection useless: behind a pooler whose server is gone, it is closed here.
    """
    failed: psycopg.Error | None = None
    try:
        with connection.pipeline() as pipeline:
            try:
                yield
            except psycopg.Error as error:
                failed = error
                with suppress(psycopg.Error):
                    pipeline.sync()
    except psycopg.Error as error:
        if connection.pgconn.pipeline_status != PipelineStatus.OFF:
            connection.close()
        failed = failed or (_first(error) if connection.closed else error)
    if failed is not None:
        raise failed


def _first(error: psycopg.Error) -> psycopg.Error:
    """Returns what was wrong before psycopg found that the pipeline of a lost connection cannot be left either."""
    while isinstance(error.__context__, psycopg.Error):
        error = error.__context__
    return error
