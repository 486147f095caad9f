"""Keeps the lock of a pooled run during a look, which may take longer than a lease and cannot write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from psycopg import Connection, errors, sql

from bootstrapper.errors import FencedOffError
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock.heartbeat import LEASE_SECONDS
from bootstrapper.postgres.lock.pulse import pulse

_TAKER_SECONDS = 10.0

# Those who try to take the lock ask for the same key, exclusively and without waiting. One that is at it has it for a
# moment only, so it is waited for.
_STAY = """
SELECT pg_catalog.set_config('bootstrapper.lock_timeout', pg_catalog.current_setting('lock_timeout'), true);
SET LOCAL lock_timeout = {patience};
SET LOCAL idle_in_transaction_session_timeout = {lease};
SELECT pg_catalog.pg_advisory_xact_lock_shared({key});
SELECT pg_catalog.set_config('lock_timeout', pg_catalog.current_setting('bootstrapper.lock_timeout'), true)
"""
# In one message, so that no other run gets in between the end of the look and the new lease.
_GO_ON = """
ROLLBACK;
UPDATE {lock}
SET expires_at = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => {seconds})
WHERE run_id OPERATOR(pg_catalog.=) {run_id} AND token OPERATOR(pg_catalog.=) {token}
"""


@contextmanager
def kept(connection: Connection[Any], names: LedgerNames, key: int, run_id: UUID, token: int) -> Iterator[None]:
    """Keeps other runs from taking the lock inside a READ ONLY transaction; ends it, and renews the lease then.

    A process that hangs is recognised by its silence: the server ends its transaction when a lease would expire. Raises
    FencedOffError if another run has the lock.
    """
    patience, lease = round(_TAKER_SECONDS * 1000), round(LEASE_SECONDS * 1000)
    literals = {"patience": sql.Literal(patience), "lease": sql.Literal(lease), "key": sql.Literal(key)}
    try:
        connection.execute(sql.SQL(_STAY).format(**literals))
    except errors.LockNotAvailable as error:
        raise FencedOffError("another run has taken the lock") from error
    with pulse(connection):
        yield
    facts = {"seconds": LEASE_SECONDS, "run_id": str(run_id), "token": token}
    literals = {name: sql.Literal(value) for name, value in facts.items()}
    cursor = connection.execute(sql.SQL(_GO_ON).format(lock=names.table("lock"), **literals))
    cursor.nextset()
    if not cursor.rowcount:
        raise FencedOffError("another run has taken the lock")
