"""What a request to stop makes of the error that it led to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bootstrapper.deadline import Stop
from bootstrapper.errors import BootstrapperError, RunInterrupted, RunTerminated


@contextmanager
def stoppable(stop: Stop | None) -> Iterator[None]:
    """Raises RunInterrupted if the block fails once the stop is set; work that was done by then stays a success."""
    try:
        yield
    except RunInterrupted:
        raise
    except BootstrapperError as error:
        if stop is None or not stop.is_set:
            raise
        kind = RunTerminated if stop.reason == "SIGTERM" else RunInterrupted
        raise kind(stop.reason) from error
