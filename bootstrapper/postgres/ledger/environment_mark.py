"""The environment that a database belongs to: a mark in the ledger, which copies of the database carry along."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from psycopg import Connection, sql

from bootstrapper.dataclass import dataclass
from bootstrapper.postgres.ledger.chain import storable
from bootstrapper.postgres.ledger.ledger import UNREADABLE, LedgerNames
from bootstrapper.text import one_line

_READ = "SELECT value FROM {meta} WHERE key = 'environment'"
_FACTS = """
pg_catalog.jsonb_build_object('name', {name}::text, 'role', session_user::text, 'host', {host}::text,
    'since', pg_catalog.clock_timestamp())::text
"""
_KEEP = "INSERT INTO {meta} (key, value) VALUES ('environment', {facts}) ON CONFLICT (key) DO NOTHING"
_REPLACE = """
INSERT INTO {meta} AS m (key, value) VALUES ('environment', {facts})
ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE m.value::jsonb ->> 'name' <> {name}
"""
_CARRY = (
    "INSERT INTO {meta} (key, value) VALUES ('environment', %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
_REMOVE = "DELETE FROM {meta} WHERE key = 'environment' AND value::jsonb ->> 'name' IS DISTINCT FROM %s"


@dataclass(frozen=True)
class Mark:
    """The environment of a database, and who marked it so, where and when."""

    name: str
    role: str
    host: str
    since: datetime

    def __str__(self) -> str:
        who = f"by {one_line(self.role)} on {one_line(self.host)}"
        return f"{one_line(self.name)} ({who}, since {self.since:%Y-%m-%d %H:%M:%S %Z})"


def read(connection: Connection[Any], names: LedgerNames) -> Mark | None:
    """Returns the mark; None if there is none, or the role cannot read the ledger."""
    try:
        with connection.transaction():
            row = connection.execute(names.fill(_READ)).fetchone()
    except UNREADABLE:
        return None
    if row is None:
        return None
    facts = json.loads(row[0])
    return Mark(facts["name"], facts["role"], facts["host"], datetime.fromisoformat(facts["since"]))


def mark(connection: Connection[Any], names: LedgerNames, name: str, host: str, *, replaces: bool) -> bool:
    """Marks the database and returns whether that changed anything.

    Args:
        replaces: Whether a mark of another environment is replaced; otherwise it stays.
    """
    given = {"name": sql.Literal(storable(connection, name)), "host": sql.Literal(host), "meta": names.table("meta")}
    facts = sql.SQL(_FACTS).format(**given)
    statement = sql.SQL(_REPLACE if replaces else _KEEP).format(facts=facts, **given)
    return connection.execute(statement).rowcount == 1


def remove(connection: Connection[Any], names: LedgerNames, besides: str | None) -> None:
    """Removes the mark, unless it is that of the environment named `besides`."""
    connection.execute(names.fill(_REMOVE), (besides,))


def carry(connection: Connection[Any], names: LedgerNames, found: Mark) -> None:
    """Gives a restored ledger the mark of the database that it replaces."""
    facts = {**vars(found), "since": found.since.isoformat()}
    connection.execute(names.fill(_CARRY), (json.dumps(facts),))
