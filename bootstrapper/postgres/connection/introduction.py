"""Properties of the server, asked in the first message on a connection."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, errors

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import UnreachableError
from bootstrapper.postgres.connection import settings
from bootstrapper.postgres.connection.sqlstates import READ_ONLY_SQL_TRANSACTION

_INTRODUCTION = """
SELECT pg_catalog.pg_backend_pid(),
       pg_catalog.current_setting('server_version_num')::int,
       pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1),
       pg_catalog.current_database(),
       (SELECT oid FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()),
       {identifier},
       pg_catalog.pg_is_in_recovery(),
       pg_catalog.current_setting('transaction_read_only')::boolean,
       extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.text
"""
_IDENTIFIER = "(SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system())"


@dataclass(frozen=True)
class Server:
    """Properties of the server when the connection was made.

    Attributes:
        system_identifier: None if the role may not ask.
        pooled: Whether a pooler stands between: the backend that answered is not the one that accepted the login.
        read_only: Whether new transactions are read-only, on a standby or by default.
        clock: Its seconds since 1970 when it said so.
    """

    version_num: int
    version: str
    database: str
    oid: int
    system_identifier: str | None
    in_recovery: bool
    read_only: bool
    pooled: bool
    clock: float

    @property
    def major(self) -> int:
        return self.version_num // 10000

    def refusal_of_writes(self, where: str) -> UnreachableError:
        """Returns why a read-only server is not suitable; a standby may be promoted yet."""
        if self.in_recovery:
            reason = "the server is a standby and accepts no writes"
            hint = "Connect to the primary, or promote this one."
        else:
            reason = "the server accepts no writes (default_transaction_read_only is on)"
            hint = "Turn the setting off for this role or database, or connect as another role."
        return UnreachableError(where, reason, sqlstate=READ_ONLY_SQL_TRANSACTION, hint=hint)

    def is_apart_from(self, other: Server) -> bool:
        """Whether the two are known to be different clusters; a standby is the same as its primary."""
        known = self.system_identifier is not None and other.system_identifier is not None
        return known and self.system_identifier != other.system_identifier


def introduce(connection: Connection[Any], *queries: bytes) -> tuple[Server, list[list[Any]]]:
    """Asks for the server's properties, and more, in the first message on a connection, which makes our settings."""
    try:
        answers = settings.greet(connection, *queries, _INTRODUCTION.format(identifier=_IDENTIFIER).encode())
    except errors.InsufficientPrivilege:
        answers = settings.greet(connection, *queries, _INTRODUCTION.format(identifier="NULL").encode())
    backend_pid, version_num, version, database, oid, identifier, in_recovery, read_only, clock = answers.pop()[0]
    pooled = connection.info.backend_pid != backend_pid
    server = Server(version_num, version, database, oid, identifier, in_recovery, read_only, pooled, float(clock))
    return server, answers
