"""Keeps a lease alive beside work that runs elsewhere, and notices when it is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from uuid import UUID

from psycopg import Connection, sql
from psycopg.pq import ExecStatus, TransactionStatus

from bootstrapper.postgres.connection.interjection import interject
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock.periodic_thread import repeated

LEASE_SECONDS = 15.0
BEAT_SECONDS = 3.0

# One statement, so that it needs no transaction of its own. A row that is locked belongs to our own worker at work:
# SKIP LOCKED sees no row then, which is not a loss. All names are qualified: the session may be lent to the project.
_BEAT = """
WITH seen AS (SELECT run_id, token FROM {lock} FOR UPDATE SKIP LOCKED),
     renewed AS (
         UPDATE {lock} AS l
         SET expires_at =
             pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => {seconds})
         FROM seen WHERE seen.run_id OPERATOR(pg_catalog.=) {run_id} AND seen.token OPERATOR(pg_catalog.=) {token}
         RETURNING 1)
SELECT (SELECT pg_catalog.count(*) FROM seen), (SELECT pg_catalog.count(*) FROM renewed)
"""


class Heartbeat:
    """Keeps a lease alive with a thread."""

    def __init__(
        self,
        connection: Connection[Any],
        names: LedgerNames,
        run_id: UUID,
        token: int,
        limited: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Takes a context manager around each beat, to end one that gets no answer."""
        self._limited = limited
        self._on_loss: Callable[[], None] = lambda: None
        self._connection = connection
        composed = sql.SQL(_BEAT).format(
            lock=names.table("lock"),
            seconds=sql.Literal(LEASE_SECONDS),
            run_id=sql.Literal(str(run_id)),
            token=sql.Literal(token),
        )
        self._statement = composed.as_bytes(connection)
        self.is_lost = False

    def on_loss(self, callback: Callable[[], None]) -> None:
        """Calls back once the lease is lost, at once if it is already; maybe twice."""
        self._on_loss = callback
        if self.is_lost:
            callback()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Renews the lease while the block runs."""
        with repeated(self._beat, BEAT_SECONDS, "bootstrapper-heartbeat"):
            yield

    def _beat(self) -> bool:
        """Whether the lease is still ours."""
        if not self._is_ours():
            self.is_lost = True
            self._on_loss()
        return not self.is_lost

    def _is_ours(self) -> bool:
        """Asks between transactions only: inside one, the fence knows, and keeps the lock busy."""
        try:
            with self._limited():
                result = interject(self._connection, self._statement, {TransactionStatus.IDLE})
            if result is None:
                return self._connection.pgconn.transaction_status != TransactionStatus.UNKNOWN
        except Exception:  # noqa: BLE001 - a thread that ends unseen would keep a lock that is not renewed
            return False
        if result.status != ExecStatus.TUPLES_OK:
            return False
        seen, renewed = result.get_value(0, 0), result.get_value(0, 1)
        return seen == b"0" or renewed != b"0"
