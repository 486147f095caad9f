"""Waiting for what has to come about: deadlines grow with the load of the machine, measured once in a session."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache

MEASURED = "BOOTSTRAPPER_TEST_PACE"  # handed to the session's workers, so that all of them have the same
STARTS, QUIET_START_SECONDS = 5, 0.02
SLOWEST = 8.0  # beyond that a limit would let everything pass


@cache
def pace() -> float:
    """How many times longer than on two quiet cores it takes here to start a process; never less than once."""
    if MEASURED not in os.environ:
        began = time.monotonic()
        for _ in range(STARTS):
            subprocess.run([sys.executable, "-IS", "-c", ""], check=True)
        taken = (time.monotonic() - began) / STARTS
        os.environ[MEASURED] = f"{min(max(1.0, taken / QUIET_START_SECONDS), SLOWEST):.1f}"
    return float(os.environ[MEASURED])


def at_most(seconds: float) -> float:
    """A limit for what takes less than this on a quiet machine."""
    return seconds * pace()


def eventually(holds: Callable[[], object], seconds: float = 10) -> bool:
    """Whether it comes about in time; on a busy machine the time is longer."""
    until = time.monotonic() + at_most(seconds)
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
