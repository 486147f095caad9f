"""What a request to stop makes of the error that it led to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bootstrapper.deadline import Stop
from bootstrapper.errors import BootstrapperError, RunInterrupted, RunTerminated, StepFailedError
from bootstrapper.postgres.connection.server_messages import said

_INTERVENTION = "57"  # the class of SQLSTATEs for what an administrator does, such as pg_cancel_backend


@contextmanager
def stoppable(stop: Stop | None) -> Iterator[None]:
    """Raises RunInterrupted if the block fails once the stop is set; work that was done by then stays a success.

    Raises StepFailedError if an administrator ended a statement between the steps.
    """
    try:
        yield
    except RunInterrupted:
        raise
    except (BootstrapperError, KeyboardInterrupt, psycopg.Error) as error:
        if stop is not None and stop.is_set:
            kind = RunTerminated if stop.reason == "SIGTERM" else RunInterrupted
            raise kind(stop.reason) from error
        if isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(_INTERVENTION):
            raise StepFailedError(said(error), sqlstate=error.sqlstate) from error
        raise
