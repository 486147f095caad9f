"""Pipes for programs that inherit an end beside their standard descriptors."""

from __future__ import annotations

import fcntl
import os

_FIRST = 3


def pipe() -> tuple[int, int]:
    """As os.pipe, with neither end among the standard descriptors, which a started program has replaced.

    Where this process was started with one of those closed, its number is the next to be given.
    """
    reading, writing = os.pipe()
    try:
        reader = fcntl.fcntl(reading, fcntl.F_DUPFD_CLOEXEC, _FIRST)
        try:
            return reader, fcntl.fcntl(writing, fcntl.F_DUPFD_CLOEXEC, _FIRST)
        except OSError:
            os.close(reader)
            raise
    finally:
        os.close(reading)
        os.close(writing)
