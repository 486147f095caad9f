"""The one connection of a run: opened when first used, closed while waiting, opened again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Connection, IsolationLevel

from bootstrapper.deadline import Deadline
from bootstrapper.errors import BlockedError, GuardError, RefusedError, StepFailedError, UnreachableError
from bootstrapper.postgres.connection import pooling, settings
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.cutoff import cut_off
from bootstrapper.postgres.connection.introduction import Server, introduce
from bootstrapper.postgres.connection.server_messages import said
from bootstrapper.postgres.connection.session_texts import BEGIN_LOOK
from bootstrapper.postgres.connection.sqlstates import LOCK_NOT_FREE
from bootstrapper.postgres.connection.stoppable import StoppableConnection
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger import ownership
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock.turnstile import Turnstile

OLDEST_MAJOR = 14
LOOK_LOCK_SECONDS = 10.0

_TIMEOUTS = (b"statement_timeout", b"lock_timeout", b"idle_in_transaction_session_timeout")
_TRANSACTION_TIMEOUT_SINCE = 17
_LONGEST_NAME = 26  # the server keeps 63 bytes of a name, and the run's id needs 36 of them
_TIDYING_SECONDS = 2.0
ENDING_SECONDS = 2.0
"""Until a program or a worker is gone that does not listen; longer than they are given for that."""


class Session:
    """Opens on demand; everything that reads or writes in a run goes through this one connection."""

    def __init__(
        self,
        target: Target,
        *,
        application_name: str,
        deadline: Deadline,
        turnstile: Turnstile | None = None,
        ledger: LedgerNames | None = None,
    ) -> None:
        """Takes where to connect, and what to pass before.

        Args:
            turnstile: Passed before the first connection; None for a run without replicas.
            ledger: Checked to be ours, if it exists, before anything of it is read.
        """
        self.target = target
        self._made_at = time.monotonic()
        self._began_at: float | None = None
        self._first: Server | None = None
        self._turnstile = turnstile
        self._ledger = ledger
        self._application_name = application_name
        self._deadline = deadline
        self._connection: Connection[Any] | None = None
        self._server: Server | None = None
        self._is_looking = False
        self._is_proven = False
        self._look: tuple[bytes, ...] = ()
        self.patience_seconds: float | None = None  # other than LOOK_LOCK_SECONDS

    @property
    def connection(self) -> Connection[Any]:
        """The open connection, in autocommit mode; opened where it is not, and known to take transactions."""
        self.open()
        self.prove()
        return self._opened()

    def _opened(self) -> Connection[Any]:
        self.open()
        assert self._connection is not None
        return self._connection

    @property
    def server(self) -> Server:
        self.open()
        assert self._server is not None
        return self._server

    def require_direct(self, what: str) -> None:
        """Raises GuardError behind a pooler, for work that needs a connection of its own to the server.

        pg_dump and its like set `search_path` and `row_security` for their session: a pooler hands both on to other
        clients, and theirs to the dump, which then has the rows that another client may see.
        """
        if self.server.pooled:
            raise GuardError(
                f"{what} needs a direct connection, and {self.target.where} is a pooler",
                hint="Give the server's own address as `direct_url` under `database`.",
            )

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.closed

    def open(self, deadline: Deadline | None = None) -> None:
        """One login and one question; nothing where the connection is open.

        Raises UnreachableError if the failure is retryable, else RefusedError.
        """
        if self.is_open:
            return
        if self._is_looking:  # a new connection would not be inside the READ ONLY transaction
            raise UnreachableError(self.target.where, "the connection was lost")
        until = deadline or self._deadline
        self.queue(until)
        connection = connect(self.target, deadline=until, application_name=self._application_name)
        try:
            elapsed = time.monotonic() - self._made_at
            with cut_off(connection, until):  # a pooler answers the login although its server may be gone
                about_ledger = [ownership.question(connection, self._ledger)] if self._ledger else []
                self._server, answers = introduce(connection, *about_ledger)
            if self._server.major < OLDEST_MAJOR:
                reason = f"PostgreSQL {self._server.version} is too old; {OLDEST_MAJOR} is the oldest supported"
                raise RefusedError(self.target.where, reason)
            if self._ledger:
                ownership.judge(answers[0], self.target.where)
            connection.isolation_level = IsolationLevel.READ_COMMITTED  # whatever the role's default is
        except psycopg.Error as error:
            connection.close()
            raise UnreachableError(self.target.where, "the server closed the connection during startup") from error
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        if self._turnstile is not None and self._server.system_identifier is not None:
            self._turnstile.recognize(f"{self._server.system_identifier}/{self._server.oid}")
        if self._began_at is None:
            self._began_at = self._server.clock - elapsed
            self._first = self._server
        self._is_proven = not self._server.pooled

    def prove(self) -> None:
        """Raises RefusedError for a pooler that takes no transactions, before anything depends on one."""
        if not self._is_proven and not self._is_looking:
            with self.read_only():
                pass

    @property
    def began_at(self) -> float:
        """When this run began, before it queued or waited, by the server's clock; in seconds since 1970."""
        self.open()
        assert self._began_at is not None
        return self._began_at

    def queue(self, deadline: Deadline) -> bool:
        """Waits at the turnstile until this process may connect; whether it may now."""
        return self._turnstile is None or self.is_open or self._turnstile.enter(deadline)

    @property
    def first_server(self) -> Server:
        """The server as it was when the run began; the address may lead to another one by now."""
        self.open()
        assert self._first is not None
        return self._first

    @property
    def is_in_front(self) -> bool:
        """Whether others of this host queue at the turnstile behind this process."""
        return self._turnstile is not None and self._turnstile.has_followers

    def make_way(self) -> None:
        """Lets the next process of this host pass the turnstile: this one does not compete for the lock any more."""
        if self._turnstile is not None:
            self._turnstile.leave()

    def let_finish(self) -> None:
        """From now on no request to stop keeps the connection from its statements: the run ends anyway."""
        if isinstance(self._connection, StoppableConnection):
            self._connection.stop = None

    def close(self) -> None:
        """Ends the connection and with it everything that it held."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        if self._turnstile is not None:
            self._turnstile.step_back()

    @contextmanager
    def read_only(self, *, lock_timeout_seconds: float | None = None) -> Iterator[Connection[Any]]:
        """The connection inside a READ ONLY transaction with one view of the data, rolled back at the end.

        Args:
            lock_timeout_seconds: How long a statement waits for a lock of another session; LOOK_LOCK_SECONDS if None.
        """
        with self.looking(lock_timeout_seconds=lock_timeout_seconds) as (connection, statements):
            connection.execute(b"; ".join(statements))
            yield connection

    @contextmanager
    def looking(
        self, *, lock_timeout_seconds: float | None = None
    ) -> Iterator[tuple[Connection[Any], Sequence[bytes]]]:
        """As `read_only`, but the caller sends the statements that begin it, together with its own questions."""
        where, connection = self.target.where, self._opened()
        if self._deadline.has_passed:
            raise UnreachableError(where, "deadline exceeded")
        self._is_looking = True
        try:
            with cut_off(connection, self._deadline), rolled_back(connection):
                self._look = self._begin_look(lock_timeout_seconds)
                yield connection, self._look
            self._is_proven = True
        except psycopg.Error as error:
            pooling.require_transactions(error, where)
            if error.sqlstate in LOCK_NOT_FREE:
                raise BlockedError("", StepFailedError(said(error), sqlstate=error.sqlstate), ()) from error
            if not connection.closed:
                raise
            if not self._is_proven:
                pooling.try_transaction(self.target, self._deadline, self._application_name)
            reason = "the connection was lost" if self._deadline.seconds_left else "no answer in time"
            raise UnreachableError(where, reason) from error
        finally:
            self._is_looking = False

    def look_on(self) -> None:
        """Inside `read_only`, after an error of the server: goes on in a new transaction, since nothing was written."""
        self._opened().execute(b"; ".join([b"ROLLBACK", *self._look]))

    def make_room(self, tables: bytes) -> bool:
        """Inside `read_only`, goes on in a new transaction with a new view, and with these temporary tables if it may.

        Returns whether it may: not behind a pooler, where transactions are read-only by default, and without the right.
        """
        if not self._is_looking or self.server.pooled or self.server.read_only:
            return False
        try:
            self._opened().execute(b"; ".join([b"ROLLBACK", *pooling.with_room(self._look, tables)]))
        except psycopg.Error:
            self.look_on()
            return False
        return True

    def hang_up(self) -> None:
        """Inside `read_only`, closes a direct connection, which ends the transaction without waiting for an answer.

        A pooler would have to close the server's connection with it.
        """
        if not self.server.pooled and self._connection is not None:
            self._connection.close()

    def _begin_look(self, lock_timeout_seconds: float | None) -> tuple[bytes, ...]:
        """Returns what begins a look. What the role's settings would cut short is ours to limit, by the deadline."""
        ours = settings.for_transaction(self._opened()) if self.server.pooled else ()
        patience = lock_timeout_seconds or self.patience_seconds or LOOK_LOCK_SECONDS
        limits = dict.fromkeys(self.timeouts, 0) | {b"lock_timeout": round(patience * 1000)}
        limited = b", ".join(b"pg_catalog.set_config('%b', '%d', true)" % limit for limit in limits.items())
        return (BEGIN_LOOK, *ours, b"SELECT " + limited)

    @property
    def timeouts(self) -> tuple[bytes, ...]:
        """The server's settings that end a transaction or a statement by their own clock."""
        return (*_TIMEOUTS, *([b"transaction_timeout"] if self.server.major >= _TRANSACTION_TIMEOUT_SINCE else []))

    def name_run(self, run_id: UUID, *, local: bool) -> None:
        """Shows the run in pg_stat_activity; through a pooler only for the open transaction."""
        name = self.name_of(run_id)
        self.connection.execute("SELECT pg_catalog.set_config('application_name', %s, %s)", (name, local))

    def name_of(self, run_id: UUID | None) -> str:
        """Returns the application_name of every session of a run; of one that has no lock, that of the project."""
        return f"{self._application_name[:_LONGEST_NAME]}/{run_id}" if run_id else self._application_name

    def limited(self, connection: Connection[Any]) -> AbstractContextManager[None]:
        """Closes the connection at the run's deadline; cleaning up after that gets a moment more."""
        return cut_off(connection, self._deadline.at_least(_TIDYING_SECONDS))

    def limited_beside(self, connection: Connection[Any]) -> AbstractContextManager[None]:
        """As `limited`, beside other work, which is ended at the deadline, before the lock is released."""
        return cut_off(connection, self._deadline.later(ENDING_SECONDS), tidying_seconds=ENDING_SECONDS)


@contextmanager
def rolled_back(connection: Connection[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        roll_back(connection)


def roll_back(connection: Connection[Any]) -> None:
    """Ends whatever is open; closes a connection that does not obey. Never raises, so that it hides no error."""
    try:
        if not connection.closed:
            connection.execute("ROLLBACK")
    except psycopg.Error:
        connection.close()
