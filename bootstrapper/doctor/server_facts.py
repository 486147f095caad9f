"""Facts about the server, the role and the connection, read in one message."""

from __future__ import annotations

import time
from typing import Any

from psycopg import Connection

from bootstrapper.dataclass import dataclass

# pg_stat_activity hides from an ordinary role what another role does, but not that it is connected.
_FACTS = """
WITH clients AS (
    SELECT usesysid, datid FROM pg_catalog.pg_stat_activity WHERE usesysid IS NOT NULL AND datid IS NOT NULL
)
SELECT r.rolname::text, d.datname::text, pg_catalog.pg_get_userbyid(d.datdba)::text,
       (SELECT o.rolsuper FROM pg_catalog.pg_roles AS o WHERE o.oid = d.datdba),
       r.rolsuper, r.rolconnlimit, d.datconnlimit,
       pg_catalog.current_setting('max_connections')::int,
       pg_catalog.current_setting('superuser_reserved_connections')::int,
       coalesce(nullif(pg_catalog.current_setting('reserved_connections', true), ''), '0')::int,
       (SELECT count(*) FROM clients),
       (SELECT count(*) FROM clients WHERE usesysid = r.oid),
       (SELECT count(*) FROM clients WHERE datid = d.oid),
       pg_catalog.pg_database_size(d.oid),
       EXISTS (SELECT FROM pg_catalog.pg_stat_gssapi WHERE pid = pg_catalog.pg_backend_pid() AND encrypted),
       extract(epoch FROM pg_catalog.clock_timestamp())::float8
FROM pg_catalog.pg_roles AS r, pg_catalog.pg_database AS d
WHERE r.rolname = current_user AND d.datname = pg_catalog.current_database()
"""


@dataclass(frozen=True)
class Room:
    """Connections that one limit allows, and those in use, ours among them."""

    limit: int
    used: int
    what: str

    @property
    def left(self) -> int:
        """Returns how many there are for a run in our place."""
        return max(0, self.limit - self.used + 1)


@dataclass(frozen=True)
class ServerFacts:
    """What the server says of itself and of the role.

    Attributes:
        owner: Of the database.
        rooms: Limits of connections.
        database_size: In bytes.
        clock_ahead: Seconds by which the server's clock is ahead of this machine's.
        clock_error: Seconds by which that may be wrong: the time of the answer.
        tls: Whether our connection is encrypted by TLS.
        gss: Whether it is encrypted by GSSAPI.
        sslmode: In effect for our connection.
    """

    role: str
    database: str
    owner: str
    is_owned_by_superuser: bool
    is_superuser: bool
    rooms: tuple[Room, ...]
    database_size: int
    clock_ahead: float
    clock_error: float
    tls: bool
    gss: bool
    sslmode: str


def read(connection: Connection[Any]) -> ServerFacts:
    """Reads the facts in one round trip, inside a READ ONLY transaction."""
    asked = time.time()
    cursor = connection.execute(_FACTS.encode(), binary=True)
    row = cursor.fetchone()
    answered = time.time()
    assert row is not None
    (
        role,
        database,
        owner,
        is_owned_by_superuser,
        is_superuser,
        role_limit,
        database_limit,
        most,
        for_superusers,
        reserved,
        *rest,
    ) = row
    used, used_by_role, used_in_database, size, gss, clock = rest
    ordinary = most if is_superuser else most - for_superusers - reserved
    rooms = [Room(ordinary, used, "the server")]
    if not is_superuser and role_limit >= 0:
        rooms.append(Room(role_limit, used_by_role, f"role {role!r}"))
    if not is_superuser and database_limit >= 0:
        rooms.append(Room(database_limit, used_in_database, "the database"))
    return ServerFacts(
        role=role,
        database=database,
        owner=owner,
        is_owned_by_superuser=is_owned_by_superuser,
        is_superuser=is_superuser,
        rooms=tuple(rooms),
        database_size=size,
        clock_ahead=clock - (asked + answered) / 2,
        clock_error=(answered - asked) / 2,
        tls=bool(connection.pgconn.ssl_in_use),
        gss=gss,
        sslmode=_sslmode(connection),
    )


def _sslmode(connection: Connection[Any]) -> str:
    found = {option.keyword: option.val for option in connection.pgconn.info}
    return (found.get(b"sslmode") or b"prefer").decode()
