"""The lock, held: what keeps it alive, notices its loss, and gives it back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection

from bootstrapper.deadline import Deadline
from bootstrapper.errors import CommitUnknownError, FencedOffError, StepFailedError, UnreachableError
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.ledger.ledger import BROKEN
from bootstrapper.postgres.lock import pooled_look
from bootstrapper.postgres.lock.fence import RELEASE, Fence
from bootstrapper.postgres.lock.heartbeat import LEASE_SECONDS, Heartbeat
from bootstrapper.postgres.lock.transactions import FencedConnection

VERDICT_SECONDS = 1.0

_NOTE_STEP = """
UPDATE {lock} SET step = %s WHERE run_id OPERATOR(pg_catalog.=) %s AND token OPERATOR(pg_catalog.=) %s
"""
_VERDICT = "SELECT r.outcome, l.token FROM {lock} AS l LEFT JOIN {runs} AS r ON r.run_id = %s"
_SELF = "SELECT pid, backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()"
_NOTE_WORKER = """
UPDATE {lock} SET worker_backend_pid = %s, worker_backend_start = %s WHERE run_id = %s AND token = %s
"""
_UNLOCK = "SELECT pg_catalog.pg_advisory_unlock(%s)"


class Hold(FencedConnection):
    """The lock, held by this run."""

    def __init__(self, session: Session, fence: Fence, key: int) -> None:
        super().__init__(session, fence, key)
        self._heartbeat: Heartbeat | None = None
        self.is_handed_over = False

    @property
    def is_lost(self) -> bool:
        """Whether the heartbeat saw that another run took over, or that the connection died."""
        return self._heartbeat is not None and self._heartbeat.is_lost

    def require(self) -> None:
        """Raises FencedOffError once the heartbeat saw another run, UnreachableError once the connection died."""
        if self.is_lost and not self.connection.closed:
            raise FencedOffError("another run has the lock")

    def require_not_broken(self) -> None:
        """Reconnects and asks; raises FencedOffError if the lock was broken.

        Breaking a lock ends its holder first, and records that a moment later. The session is open afterwards.
        """
        verdict = Deadline.after(VERDICT_SECONDS)
        while True:
            with self._session.read_only() as connection:
                row = connection.execute(self.fence.ledger.fill(_VERDICT), (self.fence.run_id,)).fetchone()
            if row is not None and row[0] == BROKEN:
                raise FencedOffError("the lock was broken")
            if verdict.has_passed or row is None or row[1] != self.fence.token:
                return
            time.sleep(0.1)

    def note_step(self, step: str) -> None:
        """Records the step in the row, for waiting runs; one statement, which compares as the fence does."""
        statement = self.fence.ledger.fill(_NOTE_STEP)
        with self._session.limited(self.connection):
            noted = self.connection.execute(statement, (step, self.fence.run_id, self.fence.token)).rowcount
        if not noted:
            raise FencedOffError("another run has taken the lock")

    @contextmanager
    def read_only(self) -> Iterator[Connection[Any]]:
        """As the session's; behind a pooler, it also keeps other runs from taking the lock, and renews the lease."""
        with self._session.read_only() as connection:
            if not self._pooled:
                yield connection
                return
            with pooled_look.kept(connection, self.fence.ledger, self._key, self.fence.run_id, self.fence.token):
                yield connection

    @contextmanager
    def lasting(self, step: str) -> Iterator[None]:
        """Keeps the lease alive during slow work between transactions, which a pooled one would not outlast."""
        if not self._pooled:
            yield
            return
        with self.beating(step):
            yield

    @contextmanager
    def beating(self, step: str) -> Iterator[None]:
        """Keeps the lease alive while work runs off this connection, such as a program or a worker."""
        statement = self.fence.ledger.fill(
            "UPDATE {lock} SET step = %s, expires_at = clock_timestamp() + %s * interval '1 second'"
        )
        with self.transaction() as connection:
            connection.execute(statement, (step, LEASE_SECONDS))
        heartbeat = self._heartbeat = Heartbeat(
            self._connection,
            self.fence.ledger,
            self.fence.run_id,
            self.fence.token,
            lambda: self._session.limited(self._connection),
        )
        with self._session.limited_beside(self._connection), heartbeat.beating():
            yield
        self.require()
        with self.transaction() as connection:
            connection.execute(statement, (step, LEASE_SECONDS if self._pooled else None))

    def on_loss(self, callback: Callable[[], None]) -> None:
        """Calls back from the heartbeat's thread once the hold is lost, to stop what runs off this connection."""
        if self._heartbeat is not None:
            self._heartbeat.on_loss(callback)

    def announce(self, worker: Connection[Any]) -> None:
        """Records the worker's connection in the row, so that no run takes the lock while the server still works.

        Its statement is cancelled once the hold is lost. Behind a pooler, where the backend outlives its work, that is
        all. Raises FencedOffError if the lock is not ours any more.
        """
        self.on_loss(worker.cancel_safe)
        if self._pooled:
            return
        row = worker.execute(_SELF, binary=True).fetchone()  # as text it depends on DateStyle
        assert row is not None
        statement = self.fence.ledger.fill(_NOTE_WORKER)
        if not self.connection.execute(statement, (*row, self.fence.run_id, self.fence.token)).rowcount:
            raise FencedOffError("another run has taken the lock")

    def hand_over(self) -> None:
        """Closes the connection that holds the lock; the announced worker does the rest and records the end.

        The lock stays busy for others as long as that worker's connection lives.
        """
        self.is_handed_over = True
        self._session.close()

    def release(self) -> None:
        """Releases the lock; closes the connection if that fails, which frees it too."""
        try:
            with self.transaction() as connection:
                connection.execute(self.fence.ledger.fill(RELEASE), (self.fence.run_id, self.fence.token))
            if self._pooled:
                return
            with self._session.limited(self._connection):
                row = self._connection.execute(_UNLOCK, (self._key,)).fetchone()
            if row is None or not row[0]:
                self._session.close()
        except (psycopg.Error, FencedOffError, StepFailedError, UnreachableError, CommitUnknownError):
            self._session.close()
