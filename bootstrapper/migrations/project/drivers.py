"""The drivers that SQLAlchemy has for PostgreSQL, and in which order they are tried for an engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Engine = Literal["sync", "async"]
Name = Literal["psycopg", "psycopg_async", "psycopg2", "psycopg2cffi", "pg8000", "asyncpg"]


@dataclass(frozen=True)
class Driver:
    """Attributes:
    name: As it stands in SQLAlchemy's URL.
    module: What has to be installed.
    engine: The kind of engine that takes it, however that is made.
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
"""The likelier ones first."""


def candidates(engine: Engine | None, preferred: Iterable[str | None]) -> list[Driver]:
    """What to try for an engine, in order: what somebody named, as far as it fits, then all others that do.

    Args:
        engine: None where nothing tells which kind it is; then what was named is taken as it is.
    """
    named = [driver for name in preferred for driver in DRIVERS if driver.name == name]
    if engine is not None:
        named = [each for own in named for each in DRIVERS if (each.module, each.engine) == (own.module, engine)]
    others = [driver for driver in DRIVERS if driver.engine == engine or engine is None]
    return list(dict.fromkeys((*named, *others)))
