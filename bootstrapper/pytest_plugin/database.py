"""What a test gets: the URL of its database, which is also a plain string."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:  # loaded when a database is made
    from bootstrapper.postgres.connection.target import Target


class BootstrapDatabase(str):
    """A URL as libpq reads it, for psycopg, asyncpg or an environment variable.

    Its repr, which pytest prints when an assertion fails, hides the password.

    Attributes:
        name: Name of the database.
        parameters: libpq's keywords: `psycopg.connect(**parameters)`.
    """

    __slots__ = ("_target", "name", "parameters")

    _target: Target
    name: str
    parameters: Mapping[str, str]

    @classmethod
    def at(cls, target: Target) -> Self:
        database = cls(target.url())
        database._target = target
        database.name = target.database
        database.parameters = dict(target.parameters)
        return database

    @property
    def url(self) -> str:
        return str(self)

    def driver(self, name: str) -> str:
        """Returns the URL for a driver of SQLAlchemy, such as `asyncpg` or `psycopg`."""
        return self._target.url(name)

    def __str__(self) -> str:
        return str.__str__(self)

    def __repr__(self) -> str:
        return f"<BootstrapDatabase {self.name}>"
