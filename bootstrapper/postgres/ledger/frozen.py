"""The freeze of a database: a mark in the ledger, with which no run takes the lock to apply anything.

A run reads the mark in the transaction in which it takes the lock, and holds an advisory lock in shared mode there. The
one who freezes holds it alone: once the mark is committed, every run has the lock already or will see the mark.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from psycopg import Connection, sql

from bootstrapper.dataclass import dataclass
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.ledger.chain import storable
from bootstrapper.postgres.ledger.ledger import UNREADABLE, LedgerNames
from bootstrapper.postgres.ledger.ownership import require_ours
from bootstrapper.text import one_line

_READ = "SELECT value FROM {meta} WHERE key = 'frozen'"
_SET = """
INSERT INTO {meta} (key, value) VALUES ('frozen', pg_catalog.jsonb_build_object(
    'reason', {reason}::text, 'role', session_user::text, 'host', {host}::text,
    'since', pg_catalog.clock_timestamp())::text)
ON CONFLICT (key) DO NOTHING
"""
_CARRY = "INSERT INTO {meta} (key, value) VALUES ('frozen', %s)"
_LIFT = "DELETE FROM {meta} WHERE key = 'frozen' RETURNING value"
_ALONE = "SELECT pg_catalog.pg_advisory_xact_lock(%s)"


@dataclass(frozen=True)
class Freeze:
    """Why nothing is applied to a database, who decided that, where and when."""

    reason: str
    role: str
    host: str
    since: datetime

    def __str__(self) -> str:
        who = f"by {one_line(self.role)} on {one_line(self.host)}"
        return f"{one_line(self.reason)} ({who}, since {self.since:%Y-%m-%d %H:%M:%S %Z})"


def advisory_key(names: LedgerNames) -> int:
    """Returns the key that takers of the lock hold in shared mode, and the one who freezes alone."""
    digest = hashlib.sha256(f"bootstrapper freeze of ledger {names.schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def read(connection: Connection[Any], names: LedgerNames) -> Freeze | None:
    """Returns the freeze; None if there is none, or the role cannot read the ledger."""
    try:
        with connection.transaction():
            row = connection.execute(names.fill(_READ)).fetchone()
    except UNREADABLE:
        return None
    return _freeze(row[0]) if row is not None else None


def prepare(connection: Connection[Any], names: LedgerNames, where: str) -> None:
    """Waits until no run is taking the lock, and brings up the ledger, for a mark that is written without the lock.

    The caller has a transaction of ours open, with a lock_timeout.
    """
    connection.execute(_ALONE, (advisory_key(names),))
    if not ledger.exists(connection, names):
        ledger.create(connection, names)
    require_ours(connection, names, where)
    ledger.complete(connection, names)


def freeze(
    connection: Connection[Any], names: LedgerNames, reason: str, *, host: str, where: str
) -> tuple[Freeze, bool]:
    """Freezes the database, and returns the freeze and whether it is this one: an earlier one stays as it is.

    Creates the ledger if it is missing. The caller has a transaction of ours open, with a lock_timeout.
    """
    prepare(connection, names, where)
    is_new = connection.execute(statement(names, storable(connection, reason), host)).rowcount == 1
    found = read(connection, names)
    assert found is not None
    return found, is_new


def lift(connection: Connection[Any], names: LedgerNames) -> Freeze | None:
    """Lifts the freeze and returns it; None if there was none. The caller has a transaction of ours open."""
    row = connection.execute(names.fill(_LIFT)).fetchone()
    return _freeze(row[0]) if row is not None else None


def statement(names: LedgerNames, reason: str, host: str) -> sql.Composed:
    """Returns the statement that freezes the database, unless it is frozen."""
    return sql.SQL(_SET).format(meta=names.table("meta"), reason=sql.Literal(reason), host=sql.Literal(host))


def replace(
    connection: Connection[Any], names: LedgerNames, carried: Freeze | None, reason: str | None, host: str
) -> None:
    """Gives a restored ledger the freeze of the replaced database, else one of its own if there is a reason.

    A freeze from the dump is removed: it was that of another time.
    """
    connection.execute(names.fill(_LIFT))
    if carried is not None:
        facts = {**vars(carried), "since": carried.since.isoformat()}
        connection.execute(names.fill(_CARRY), (json.dumps(facts),))
    elif reason is not None:
        connection.execute(statement(names, storable(connection, reason), host))


def _freeze(text: str) -> Freeze:
    facts = json.loads(text)
    return Freeze(facts["reason"], facts["role"], facts["host"], datetime.fromisoformat(facts["since"]))
