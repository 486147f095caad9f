"""The one connection of a run: opened when first used, closed while waiting, opened again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, errors

from bootstrapper.deadline import Deadline
from bootstrapper.errors import RefusedError, UnreachableError
from bootstrapper.postgres.connect import connect
from bootstrapper.postgres.cutoff import cut_off
from bootstrapper.postgres.target import Target

OLDEST_MAJOR = 14

_INTRODUCTION = """
SELECT pg_catalog.pg_backend_pid(),
       pg_catalog.current_setting('server_version_num')::int,
       pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1),
       pg_catalog.current_database(),
       (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
       {identifier},
       pg_catalog.pg_is_in_recovery(),
       pg_catalog.current_setting('transaction_read_only')::bool
"""
_IDENTIFIER = "(SELECT system_identifier::text FROM pg_catalog.pg_control_system())"


@dataclass(frozen=True)
class Server:
    """What the server said of itself when the connection was made.

    Attributes:
        system_identifier: None where the role may not ask.
        pooled: Whether a pooler stands between: the backend that answered is not the one that let us in.
        read_only: Whether new transactions are read-only, on a standby or by default.
    """

    version_num: int
    version: str
    database: str
    oid: int
    system_identifier: str | None
    in_recovery: bool
    read_only: bool
    pooled: bool

    @property
    def major(self) -> int:
        return self.version_num // 10000


class Session:
    """Opens on demand; everything that reads or writes in a run goes through this one connection."""

    def __init__(self, target: Target, *, application_name: str, deadline: Deadline) -> None:
        self.target = target
        self._application_name = application_name
        self._deadline = deadline
        self._connection: Connection[Any] | None = None
        self._server: Server | None = None

    @property
    def connection(self) -> Connection[Any]:
        """The open connection, in autocommit mode; opened where it is not."""
        self.open()
        assert self._connection is not None
        return self._connection

    @property
    def server(self) -> Server:
        self.open()
        assert self._server is not None
        return self._server

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.closed

    def open(self, deadline: Deadline | None = None) -> None:
        """One login and one question; nothing where the connection is open.

        Raises UnreachableError where another try is worth it, RefusedError where it is not.
        """
        if self.is_open:
            return
        until = deadline or self._deadline
        connection = connect(self.target, deadline=until, application_name=self._application_name)
        try:
            with cut_off(connection, until):  # a pooler answers the login although its server may be gone
                self._server = introduce(connection)
            if self._server.major < OLDEST_MAJOR:
                reason = f"PostgreSQL {self._server.version} is too old; {OLDEST_MAJOR} is the oldest supported"
                raise RefusedError(self.target.where, reason)
        except psycopg.Error as error:
            connection.close()
            raise UnreachableError(self.target.where, "the server went away while it was greeted") from error
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def close(self) -> None:
        """Ends the connection and with it everything that it held."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @contextmanager
    def read_only(self) -> Iterator[Connection[Any]]:
        """The connection inside a READ ONLY transaction with one view of the data, rolled back at the end."""
        connection = self.connection
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield connection
        finally:
            if not connection.closed:
                connection.execute("ROLLBACK")


def introduce(connection: Connection[Any]) -> Server:
    """Asks the server what it is."""
    try:
        row = connection.execute(_INTRODUCTION.format(identifier=_IDENTIFIER).encode()).fetchone()
    except errors.InsufficientPrivilege:
        row = connection.execute(_INTRODUCTION.format(identifier="NULL").encode()).fetchone()
    assert row is not None
    backend_pid, version_num, version, database, oid, identifier, in_recovery, read_only = row
    pooled = connection.info.backend_pid != backend_pid
    return Server(version_num, version, database, oid, identifier, in_recovery, read_only, pooled)
