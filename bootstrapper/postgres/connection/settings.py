"""The settings of our sessions, and those that the project's own sessions have, which are lent to its statements.

On a direct connection they are set once, before the first statement. Behind a pooler each transaction may have another
backend, which others use too, so there they are set at the start of each transaction of ours, and only for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, Cursor, errors, sql
from psycopg.pq import TransactionStatus

from bootstrapper.postgres.connection import session_texts
from bootstrapper.postgres.connection.interjection import status_of
from bootstrapper.postgres.connection.pipelining import round_trip
from bootstrapper.postgres.connection.session_texts import FIRST, LENT, SAVED, select, setting

_GREETINGS = 5  # it may end even the statement that lifts it
# Where nothing is saved, as on a pooler's connection between our transactions, the setting is its default already. A
# setting of ours that ended with a transaction leaves an empty text behind.
_LEND = (
    "pg_catalog.set_config('{name}', CASE WHEN pg_catalog.length(pg_catalog.current_setting('{saved}', true))"
    " OPERATOR(pg_catalog.>) 0 THEN pg_catalog.current_setting('{saved}', true) END, {local})"
)
_UNLESS_DIRECT = "pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.<>) {}"
_FORGET = b"UNLISTEN *; DEALLOCATE ALL; "  # behind a pooler others may have prepared there
_PUT_BACK = b"CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; DISCARD TEMP"


def greet(connection: Connection[Any], *queries: bytes) -> list[list[Any]]:
    """Sends the first message on a connection: all settings, which last where no pooler stands between, and queries.

    Behind a pooler, where the backend is not the one that let us in, they hold for this message alone. Gives the rows
    of each query.
    """
    message = b"; ".join([*_greeting(connection), *queries])
    for left in reversed(range(_GREETINGS)):
        try:
            cursor = connection.execute(message)
            break
        except errors.QueryCanceled:
            if not left:
                raise
    answers = [cursor.fetchall() if cursor.description else []]
    while cursor.nextset():
        answers.append(cursor.fetchall() if cursor.description else [])
    return answers[len(answers) - len(queries) :]


def _greeting(connection: Connection[Any]) -> tuple[bytes, ...]:
    return (*FIRST, *_adoption(connection, _UNLESS_DIRECT.format(connection.info.backend_pid)))


def for_transaction(connection: Connection[Any]) -> tuple[bytes, ...]:
    """Returns statements that set all settings until the transaction ends, for pooled connections."""
    return (*FIRST, *_adoption(connection, "true"))


@contextmanager
def transaction(connection: Connection[Any]) -> Iterator[None]:
    """A transaction with our settings, on a connection of either kind; a savepoint inside another one of ours.

    The limits of that other one stay: what is set in a savepoint outlives it.
    """
    ours = [TAKE_BACK] if status_of(connection) == TransactionStatus.INTRANS else for_transaction(connection)
    with connection.transaction():
        connection.execute(b"; ".join(ours))
        yield


def put_back(connection: Connection[Any], *, pooled: bool) -> None:
    """Undoes what statements of the project did to the session, and takes it over again."""
    forget = b"" if pooled else _FORGET
    ours = _adoption(connection, "true" if pooled else "false")
    connection.execute(forget + b"; ".join([_PUT_BACK, *ours]))


@contextmanager
def lent(connection: Connection[Any], lending: bytes | None = None) -> Iterator[None]:
    """Within it statements of this transaction see what the project's own sessions do.

    Statements of ours that run there have every function, operator and type qualified.
    """
    connection.execute(lending or LEND)
    try:
        yield
    finally:
        if status_of(connection) == TransactionStatus.INTRANS:  # else whatever rolls back puts it back
            connection.execute(TAKE_BACK)


def ask_lent(connection: Connection[Any], query: str | sql.Composed, parameters: Any = None) -> Cursor[Any]:
    """Asks what depends on the search_path of the project's own sessions; one round trip, in a transaction or not."""
    with round_trip(connection):
        connection.execute(LEND_PATH)
        cursor = connection.execute(query.encode() if isinstance(query, str) else query, parameters)
        connection.execute(TAKE_BACK)
    return cursor


def lend_session(connection: Connection[Any]) -> None:
    """As `lent`, outside transactions, until `put_back`."""
    connection.execute(_lending("false"))


def _adoption(connection: Connection[Any], local: str) -> tuple[bytes, bytes]:
    return session_texts.adoption(connection.info.server_version, local)


def _lending(local: str, names: Iterable[str] = LENT) -> bytes:
    return select(_LEND.format(name=name, saved=SAVED.format(name), local=local) for name in names)


LEND_PATH = _lending("true", ["search_path"])
"""Gives the rest of a transaction the search_path of the project's own sessions: for triggers, defaults, conditions."""
LEND = _lending("true")
"""Gives the rest of a transaction the settings of the project's own sessions."""
TAKE_BACK = setting(LENT, "true")
"""Undoes `LEND`."""
