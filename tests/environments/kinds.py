"""The releases and drivers that projects have, and the ways in which their env.py connects."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

ALEMBIC_OLDEST, ALEMBIC_NEWEST = "alembic==1.13.3", "alembic==1.20.1"
SQLALCHEMY_1_4, SQLALCHEMY_2_0, SQLALCHEMY_2_1 = "SQLAlchemy==1.4.54", "SQLAlchemy==2.0.58", "SQLAlchemy==2.1.9"
NEEDED_BY_THESE = ("Mako==1.4.3", "MarkupSafe==3.0.4", "greenlet==3.5.6", "typing_extensions==4.16.0")
DRIVERS = {
    "psycopg2": ("psycopg2-binary==2.9.13",),
    "psycopg": ("psycopg==3.3.9", "psycopg-binary==3.3.9"),
    "asyncpg": ("asyncpg==0.32.0",),
}


@dataclass(frozen=True)
class Environment:
    """What is installed, and nothing else: all of it is pinned."""

    alembic: str
    sqlalchemy: str
    driver: str

    @property
    def pins(self) -> tuple[str, ...]:
        return (self.alembic, self.sqlalchemy, *DRIVERS[self.driver], *NEEDED_BY_THESE)

    def __str__(self) -> str:
        return "-".join((self.alembic, self.sqlalchemy, self.driver)).replace("==", "")


@dataclass(frozen=True)
class Kind:
    """A project in an environment."""

    environment: Environment
    is_async: bool

    def __str__(self) -> str:
        return f"{self.environment}-{'async' if self.is_async else 'sync'}"

    def env(self, before: str = "") -> str:
        """Its env.py; `before` has the connection, and runs just before the revisions."""
        head = HEAD.replace("    # before", textwrap.indent(before.strip(), "    "))
        return head + (ASYNC if self.is_async else SYNC)


ENVIRONMENTS = (
    Environment(ALEMBIC_OLDEST, SQLALCHEMY_1_4, "psycopg2"),
    Environment(ALEMBIC_OLDEST, SQLALCHEMY_2_0, "psycopg"),  # SQLAlchemy 1.4 has no dialect for it
    Environment(ALEMBIC_OLDEST, SQLALCHEMY_1_4, "asyncpg"),
    Environment(ALEMBIC_NEWEST, SQLALCHEMY_2_1, "psycopg2"),
    Environment(ALEMBIC_NEWEST, SQLALCHEMY_2_1, "psycopg"),
    Environment(ALEMBIC_NEWEST, SQLALCHEMY_2_1, "asyncpg"),
)
WAYS = {"psycopg2": (False,), "psycopg": (False, True), "asyncpg": (True,)}
KINDS = tuple(Kind(environment, way) for environment in ENVIRONMENTS for way in WAYS[environment.driver])

HEAD = """
import asyncio, logging
from alembic import context
from sqlalchemy import create_engine, pool
from sqlalchemy.ext.asyncio import create_async_engine

url = context.config.get_main_option("sqlalchemy.url")


def migrate(connection):
    context.configure(connection=connection)
    # before
    with context.begin_transaction():
        context.run_migrations()


"""
SYNC = """
engine = create_engine(url, poolclass=pool.NullPool)
with engine.connect() as connection:
    migrate(connection)
"""
ASYNC = """
async def main():
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(main())
"""
