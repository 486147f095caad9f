"""The program, killed at a statement: python -m tests.backups.restore.killed WHEN NUMBER PATTERN ARGUMENT...

WHEN is `before` or `after` the NUMBER-th statement that PATTERN matches. Or, while pg_restore is at work, `filling`,
which kills, and `interrupted`, which is Ctrl-C.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from bootstrapper.backups.restore import new_database
from bootstrapper.cli import main


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def text_of(query: object) -> str:
    if isinstance(query, sql.Composable):
        return query.as_string(None)
    return query.decode() if isinstance(query, bytes) else str(query)


def lay_trap(when: str, number: int, pattern: str) -> None:
    original = psycopg.Connection.execute
    numbers = itertools.count(1)

    def execute(self: psycopg.Connection[Any], query: Any, *arguments: Any, **options: Any) -> Any:
        is_there = re.match(pattern, text_of(query)) is not None and next(numbers) == number
        if is_there and when == "before":
            die()
        result = original(self, query, *arguments, **options)
        if is_there and when == "after":
            die()
        return result

    psycopg.Connection.execute = execute  # type: ignore[method-assign]


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


TICKS: dict[str, Callable[[], None]] = {"filling": die, "interrupted": interrupt}


if __name__ == "__main__":
    when, number, pattern, *arguments = sys.argv[1:]
    if when in TICKS:
        new_database.growth = lambda *_: TICKS[when]
    else:
        lay_trap(when, int(number), pattern)
    sys.exit(main(arguments))
