"""The connection of a run as one call of a plugin gets it, which can neither end its transaction nor change the run's
own connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import new_class
from typing import Any, NoReturn, Self, TypeVar

import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.abc import PQGen, Query
from psycopg.pq import TransactionStatus

from bootstrapper.postgres.connection.interjection import status_of
from bootstrapper.postgres.connection.statements import split

T = TypeVar("T")

_ASKING = [("SELECT",), ("VALUES",), ("TABLE",), ("WITH",), ("SHOW",), ("EXPLAIN",)]
_SAVE = b"SAVEPOINT bootstrapper_plugin"
_PUT_BACK = b"ROLLBACK TO SAVEPOINT bootstrapper_plugin; RELEASE SAVEPOINT bootstrapper_plugin"


class ForbiddenError(psycopg.ProgrammingError):
    """What a plugin may not do with its connection; the message says what it did."""


class Loan:
    """Lends the connection to one call, from its first use until `end`; then again, if the call goes on.

    What only reads leaves no settings behind: inside the transaction of a look, a savepoint is set before a statement
    that may change some, so that questions cost nothing; where no transaction is open, each statement has a READ ONLY
    one of its own.
    """

    def __init__(self, owner: Callable[[], Connection[Any]], *, reads: bool) -> None:
        self._owner = owner
        self.reads = reads
        self._lent: LentConnection | None = None

    @property
    def connection(self) -> LentConnection:
        """The lent connection; another one once the run has opened a new one."""
        owner = self._owner()
        if self._lent is None or not self._lent.is_of(owner):
            is_inside = status_of(owner) != TransactionStatus.IDLE
            self._lent = LentConnection(owner, reads=self.reads, stays=is_inside)
        return self._lent

    def end(self) -> None:
        """Takes the connection back; raises ForbiddenError if its transaction is not the same any more."""
        if self._lent is not None and not self._lent.closed:
            self._lent.give_back()


class LentConnection(Connection[Any]):
    """Shares the session of another connection; has row factories, adapters and cursors of its own."""

    def __init__(self, owner: Connection[Any], *, reads: bool, stays: bool) -> None:
        """Takes the connection to share.

        Args:
            reads: Whether nothing may be written.
            stays: Whether a transaction is open that the borrower must not end.
        """
        handlers = owner.pgconn.notice_handler, owner.pgconn.notify_handler
        super().__init__(owner.pgconn)
        owner.pgconn.notice_handler, owner.pgconn.notify_handler = handlers
        self.lock = owner.lock  # one session, one user at a time
        self.prepare_threshold = None  # names of prepared statements would be those of the owner
        self._lender = owner
        self._reads = reads
        self._stays = stays
        self._is_saved = False
        kind = owner.cursor_factory  # it may listen
        self.cursor_factory = new_class("ReadingCursor", (_Reading, kind)) if reads else kind
        if not stays:
            super().set_autocommit(not reads)
            super().set_isolation_level(IsolationLevel.READ_COMMITTED)
            super().set_read_only(reads)

    def is_of(self, owner: Connection[Any]) -> bool:
        return self._lender is owner

    def give_back(self) -> None:
        """Undoes what reading left; raises ForbiddenError if the transaction was ended."""
        if self._stays:
            self._require_inside()
            if self._is_saved:
                try:
                    self._lender.execute(_PUT_BACK)
                except psycopg.Error as error:
                    if self.closed:
                        raise
                    raise ForbiddenError("ended its transaction, or left it in the middle of something") from error
                self._is_saved = False
        elif self._reads and status_of(self._lender) != TransactionStatus.IDLE:
            super().rollback()

    def wait(self, gen: PQGen[T], *arguments: Any, **options: Any) -> T:
        """As of the owner; raises ForbiddenError for a statement that ends the transaction, and for those after it."""
        if self._is_outside:
            gen.close()
            self._require_inside()
        result = self._lender.wait(gen, *arguments, **options)
        self._require_inside()
        return result

    @property
    def _is_outside(self) -> bool:
        return self._stays and self.pgconn.transaction_status == TransactionStatus.IDLE

    def _require_inside(self) -> None:
        if self._is_outside:
            stays = "" if self._reads else "; its earlier work may be committed"
            raise ForbiddenError(f"ended its transaction{stays}")

    def expect(self, query: Query) -> None:
        """Sets a savepoint before a statement that may change the session.

        Raises ForbiddenError for several statements at once: those after a COMMIT would not be READ ONLY.
        """
        text = query if isinstance(query, str | bytes) else _text(query, self)
        statements = split(text.decode(errors="replace") if isinstance(text, bytes) else text)
        if len(statements) > 1:
            raise ForbiddenError("sent several statements at once, where it may only read")
        words = statements[0].words if statements else ()
        if self._stays and not self._is_saved and (words[:1] not in _ASKING or "SET_CONFIG" in words):
            self._lender.cursor_factory(self).execute(_SAVE)
            self._is_saved = True

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """As of any connection; where it only reads, always rolled back."""
        with super().transaction(savepoint_name, force_rollback or self._reads) as transaction:
            yield transaction

    def add_notice_handler(self, callback: Any) -> None:
        self._lender.add_notice_handler(callback)

    def remove_notice_handler(self, callback: Any) -> None:
        self._lender.remove_notice_handler(callback)

    def end_reading(self) -> None:
        """Ends the transaction of one statement."""
        super().rollback()

    def commit(self) -> None:
        self._refuse("commit()")

    def rollback(self) -> None:
        self._refuse("rollback()")

    def close(self) -> None:
        self._refuse("close()")

    def __enter__(self) -> Self:
        self._refuse("`with connection:`, which closes it")

    def set_autocommit(self, value: bool) -> None:
        self._refuse("autocommit")

    def set_isolation_level(self, value: IsolationLevel | None) -> None:
        self._refuse("isolation_level")

    def set_read_only(self, value: bool | None) -> None:
        self._refuse("read_only")

    def set_deferrable(self, value: bool | None) -> None:
        self._refuse("deferrable")

    def tpc_begin(self, xid: Any) -> None:
        self._refuse("tpc_begin()")

    def _refuse(self, what: str) -> NoReturn:
        raise ForbiddenError(f"used {what} of the connection, whose transaction is not its own")

    def __del__(self, *arguments: Any) -> None:
        """Without the warning of a connection that was left open: its owner closes it."""


class _Reading:
    """Sends one statement at a time, in a READ ONLY transaction of its own where none is open."""

    connection: LentConnection

    def execute(self, query: Any, *arguments: Any, **options: Any) -> Self:
        connection = self.connection
        connection.expect(query)
        is_alone = status_of(connection) == TransactionStatus.IDLE
        try:
            found: Self = super().execute(query, *arguments, **options)  # type: ignore[misc]
            return found
        finally:
            if is_alone and not connection.closed:
                with suppress(psycopg.Error):
                    connection.end_reading()


def _text(query: Any, connection: Connection[Any]) -> str:
    """Returns composed SQL as text; of a template string only its own parts, since values are sent apart."""
    if hasattr(query, "as_string"):
        return str(query.as_string(connection))
    return "".join(getattr(query, "strings", ()))
