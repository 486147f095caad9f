"""The drivers that SQLAlchemy has for PostgreSQL, and the order in which they are tried for an engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from bootstrapper.dataclass import dataclass

Engine = Literal["sync", "async"]
Name = Literal["psycopg", "psycopg_async", "psycopg2", "psycopg2cffi", "pg8000", "asyncpg"]


@dataclass(frozen=True)
class Driver:
    """Attributes:
    name: As in SQLAlchemy's URL.
    module: The module that must be installed.
    engine: The kind of engine that supports it.
    """

    name: Name
    module: str
    engine: Engine


DRIVERS = (
    Driver("psycopg", "psycopg", "sync"),
    Driver("psycopg2", "psycopg2", "sync"),
    Driver("pg8000", "pg8000", "sync"),
    Driver("psycopg2cffi", "psycopg2cffi", "sync"),
    Driver("asyncpg", "asyncpg", "async"),
    Driver("psycopg_async", "psycopg", "async"),
)
"""Most likely first."""


def candidates(engine: Engine | None, preferred: Iterable[str | None]) -> list[Driver]:
    """Returns the drivers to try for an engine, in order: the preferred ones that fit, then all others that fit.

    Args:
        engine: None if the kind is unknown; then preferred ones are not filtered.
    """
    named = [driver for name in preferred for driver in DRIVERS if driver.name == name]
    if engine is not None:
        named = [each for own in named for each in DRIVERS if (each.module, each.engine) == (own.module, engine)]
    others = [driver for driver in DRIVERS if driver.engine == engine or engine is None]
    return list(dict.fromkeys((*named, *others)))
