"""A SQLAlchemy Connection on a psycopg connection that the caller keeps."""

from __future__ import annotations

from typing import Any

import psycopg
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool


class _Borrowed:
    """A psycopg connection whose transaction and life belong to the lender."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None:
        """Inert: the step's transaction ends when the executor says so."""

    def rollback(self) -> None:
        """Inert, for the same reason; an error inside still aborts the transaction on the server."""

    def close(self) -> None:
        """Inert: the run goes on using the connection."""


def borrow(connection: psycopg.Connection[Any]) -> Connection:
    """Returns a Connection whose begin, commit, rollback and close do nothing to the lender's transaction."""
    borrowed = _Borrowed(connection)
    # The look-up of hstore's oid insists on a psycopg connection; without it hstore values arrive as text.
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: borrowed, poolclass=StaticPool, use_native_hstore=False
    )
    return engine.connect()
