"""Whose settings the session of a look has: ours, or those of the project's own sessions while its statements run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection
from psycopg.pq import TransactionStatus

from bootstrapper.postgres.connection.interjection import status_of
from bootstrapper.postgres.connection.settings import LEND, TAKE_BACK


class Lending:
    """Switches the settings only where the next user of the session needs others: each switch is a round trip.

    After the last user nothing is switched back: the settings end with the transaction of the look.
    """

    def __init__(self) -> None:
        self._is_lent = False
        self._is_used = False  # the project's statements may have changed what was lent
        self._user: bool | None = None

    def begin(self, *, is_lent: bool = False) -> None:
        """Notes that a transaction began, with our settings or with those that are lent first."""
        self._is_lent, self._is_used = is_lent, False

    @contextmanager
    def session(self, connection: Connection[Any], *, borrows: bool) -> Iterator[None]:
        """Within it the session has the project's settings, fresh for each user, or ours."""
        outer, self._user = self._user, borrows
        self._switch(connection, borrows=borrows)
        try:
            yield
        finally:
            self._user = outer
            if outer is not None and status_of(connection) == TransactionStatus.INTRANS:
                self._switch(connection, borrows=outer)

    def _switch(self, connection: Connection[Any], *, borrows: bool) -> None:
        if borrows and (self._is_used or not self._is_lent):
            connection.execute(LEND)
        elif self._is_lent and not borrows:
            connection.execute(TAKE_BACK)
        self._is_lent = self._is_used = borrows
