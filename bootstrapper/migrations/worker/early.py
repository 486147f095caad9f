"""Starts a worker before the run itself is loaded, where it is known that revisions are pending: at a first apply.

Imports only what the program has loaded by then, and what starts a process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from bootstrapper.programs import ahead

PROGRAM = Path(__file__).with_name("program")
TOLD = frozenset({"DATABASE_URL", "PGAPPNAME"})
"""Variables that the worker is told with its request, since they are known only then."""
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}


def start(folder: str, variables: Mapping[str, str], place: int) -> None:
    """Starts a worker for a project of this interpreter; the step takes it if it would start the same one.

    Args:
        place: See `ahead.start_ahead`.
    """
    environment = {**UNBUFFERED, **variables}
    ahead.start_ahead([sys.executable, str(PROGRAM)], directory=Path(folder), environment=environment, place=place)


def helps() -> bool:
    """Whether two processes can load at once."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return count > 1
