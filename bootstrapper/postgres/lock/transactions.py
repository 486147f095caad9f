"""Writing transactions on the connection that holds the lock; each one passes the fence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.pq import TransactionStatus

from bootstrapper.deadline import Deadline
from bootstrapper.errors import CommitUnknownError, StepFailedError, UnreachableError
from bootstrapper.postgres.connection import settings
from bootstrapper.postgres.connection.interjection import status_of
from bootstrapper.postgres.connection.session import Session, roll_back
from bootstrapper.postgres.lock.fence import Fence, pass_fence
from bootstrapper.postgres.lock.heartbeat import LEASE_SECONDS
from bootstrapper.postgres.lock.pulse import pulse

FENCE_LOCK_TIMEOUT = "10s"
WATCH_CLIENT = b"SET client_connection_check_interval = '1s'"
IDLE_TIMEOUT = "5min"

_BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED"  # whatever the role's default is: the fence has to see the latest row
_PREPARE = """
SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text, pg_catalog.set_config('lock_timeout', %s, true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', %s, true),
       pg_catalog.set_config('statement_timeout', %s, true)
"""
_RENEW = "UPDATE {lock} SET expires_at = clock_timestamp() + %s * interval '1 second'"
_TRANSACTION = "SELECT pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text"
_FATE = "SELECT pg_catalog.pg_xact_status(%s::pg_catalog.xid8)"


class FencedConnection:
    """The connection that holds the lock. All writing of a run goes through `transaction`."""

    def __init__(self, session: Session, fence: Fence, key: int) -> None:
        self.fence = fence
        self._session = session
        self._key = key
        self._connection = session.connection
        self._pooled = session.server.pooled
        self._transaction: str | None = None
        self._last_transaction: str | None = None
        self._deadline = Deadline.never()
        if not self._pooled:
            self._mark_session()

    @property
    def connection(self) -> Connection[Any]:
        """The connection that holds the lock; raises UnreachableError once it is lost, since no other one does."""
        if self._connection.closed:
            raise UnreachableError(self._session.target.where, "the connection that held the lock was lost")
        return self._connection

    @property
    def is_gone(self) -> bool:
        """Whether the connection that holds the lock is closed."""
        return self._connection.closed

    @property
    def is_in_transaction(self) -> bool:
        """Whether a writing transaction is open, which passed the fence."""
        return self._transaction is not None

    @contextmanager
    def transaction(self, deadline: Deadline | None = None) -> Iterator[Connection[Any]]:
        """A writing transaction that passed the fence; committed at the end, rolled back on any error.

        A transaction left open on the connection is rolled back first, lest it is committed with it.

        Raises:
            FencedOffError: The lock is not ours any more.
            UnreachableError: The connection that held it is gone.
            StepFailedError: The transaction is not the same any more, or aborted.
            CommitUnknownError: The connection died at COMMIT.
        """
        connection = self.connection
        if self._transaction is not None:
            raise RuntimeError("a transaction of the hold is open already")
        with self._session.limited(connection):
            try:
                if status_of(connection) != TransactionStatus.IDLE:
                    connection.execute("ROLLBACK")
                self._begin(connection, deadline or Deadline.never())
                self._pass_fence(connection)
                with pulse(connection):
                    yield connection
                self.require_transaction()
                self._renew(connection)
            except BaseException:
                roll_back(connection)
                raise
            finally:
                self._transaction = None
            _commit(connection)

    def is_committed(self) -> bool:
        """Returns whether the last transaction is committed, also by the code inside it that ended it itself.

        False for a lost connection, whose open transaction the server rolls back.
        """
        if self._last_transaction is None or self._connection.closed:
            return False
        try:
            row = self._connection.execute(_FATE, [self._last_transaction]).fetchone()
        except psycopg.Error:
            return False
        return row is not None and row[0] == "committed"

    def require_transaction(self) -> None:
        """Raises StepFailedError if the code inside `transaction` ended it, or ignored the error that aborted it."""
        if status_of(self.connection) == TransactionStatus.INERROR:
            raise StepFailedError("the transaction is aborted: the step ignored an error of the server")
        row = self.connection.execute(_TRANSACTION).fetchone()
        if row is None or row[0] != self._transaction:
            raise StepFailedError(
                "the step ended its transaction; its earlier work may be committed",
                hint="Leave BEGIN, COMMIT and ROLLBACK to bootstrapper, or set transactional = False.",
            )

    def require_no_transaction(self) -> None:
        """Raises StepFailedError if work outside transactions left one open; it is rolled back."""
        if status_of(self.connection) != TransactionStatus.IDLE:
            roll_back(self._connection)
            raise StepFailedError("a transaction was left open; it was rolled back", hint="Commit it in the step.")

    @contextmanager
    def lent(self, *, borrows: bool = True) -> Iterator[None]:
        """Lets statements of the project run in the open transaction, with the settings of the project's own sessions.

        What they did to the session is undone afterwards: settings, role, temporary objects.

        Args:
            borrows: Whether they need those settings; code of a plugin that does not may change ours all the same.
        """
        if borrows:
            self.connection.execute(settings.LEND)
        yield
        self.require_transaction()
        settings.put_back(self.connection, pooled=self._pooled)
        self._limit(self.connection)
        if not self._pooled:
            self._mark_session()

    @contextmanager
    def lent_outside(self, *, borrows: bool = True) -> Iterator[None]:
        """As `lent`, outside transactions; behind a pooler the session there is not ours to set."""
        if self._pooled:
            yield
            return
        if borrows:
            settings.lend_session(self.connection)
        try:
            yield
            self.require_no_transaction()
        except BaseException:
            with suppress(psycopg.Error):  # of a connection that is lost, nothing is to be put back
                if status_of(self.connection) != TransactionStatus.IDLE:
                    roll_back(self._connection)
                self._regain()
            raise
        self._regain()

    def _begin(self, connection: Connection[Any], deadline: Deadline) -> None:
        ours = b"; " + b"; ".join(settings.for_transaction(connection)) if self._pooled else b""
        connection.execute(_BEGIN + ours)
        self._deadline = deadline
        self._transaction = self._last_transaction = self._limit(connection)

    def _limit(self, connection: Connection[Any]) -> str:
        """Sets the limits of the open transaction; returns its number."""
        limits = (FENCE_LOCK_TIMEOUT, IDLE_TIMEOUT, _milliseconds(self._deadline))
        row = connection.execute(_PREPARE, limits).fetchone()
        assert row is not None
        if self._pooled:
            self._session.name_run(self.fence.run_id, local=True)
        return str(row[0])

    def _pass_fence(self, connection: Connection[Any]) -> None:
        pass_fence(connection, self.fence, self._key)

    def _renew(self, connection: Connection[Any]) -> None:
        """Renews the lease at the transaction's end, which may come after it; its row is locked until then."""
        if self._pooled:
            connection.execute(self.fence.ledger.fill(_RENEW), (LEASE_SECONDS,))

    def _mark_session(self) -> None:
        """Marks a direct session; the server watches its client, lest a killed one keeps the lock while it works."""
        self._session.name_run(self.fence.run_id, local=False)
        if self.fence.watches_client:
            self._session.connection.execute(WATCH_CLIENT)

    def _regain(self) -> None:
        settings.put_back(self.connection, pooled=False)
        self._mark_session()


def _milliseconds(deadline: Deadline) -> str:
    """Returns the time left for a setting of the server, where 0 means no limit."""
    left = deadline.seconds_left
    return "0" if math.isinf(left) else str(max(1, round(left * 1000)))


def _commit(connection: Connection[Any]) -> None:
    try:
        connection.execute(settings.LEND_PATH + b"; COMMIT")  # constraint triggers may fire as late as that
    except psycopg.Error as error:
        if connection.closed:
            raise CommitUnknownError("the server closed the connection") from error
        roll_back(connection)
        raise
