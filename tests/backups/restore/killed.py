"""The program, killed at a statement: python -m tests.backups.restore.killed WHEN NUMBER PATTERN ARGUMENT...

WHEN is `before` or `after` the NUMBER-th statement that PATTERN matches, or `filling`: while pg_restore is at work.
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

from bootstrapper.backups.restore import beside
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


def tick_of_death(*_: object) -> Callable[[], None]:
    return die


if __name__ == "__main__":
    when, number, pattern, *arguments = sys.argv[1:]
    if when == "filling":
        beside.growth = tick_of_death
    else:
        lay_trap(when, int(number), pattern)
    sys.exit(main(arguments))
