"""Listens to a connection: what is sent over it, as it is sent, and what the server answers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection, Cursor, RawCursor
from psycopg.pq import ExecStatus, Trace
from psycopg.pq.abc import PGresult

_TEXT, _BINARY = 0, 1
_ANSWERED = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)
# Savepoints that psycopg makes for `transaction()` are sent past its cursors, and ask nothing.
_STATEMENT = re.compile(rb'^F\t\d+\t(?:Query|Parse)\t(?! "(?:SAVEPOINT|RELEASE) "_pg3_\d+"")', re.MULTILINE)


@dataclass
class Exchange:
    """One statement as psycopg sent it, and its results."""

    query: bytes
    parameters: Sequence[bytes | None]
    types: Sequence[int]
    formats: Sequence[int]
    result_format: int
    results: Sequence[PGresult] = ()

    @property
    def result(self) -> PGresult | None:
        """The one result; None if the statement failed, or if there were several."""
        is_one = len(self.results) == 1 and self.results[0].status in _ANSWERED
        return self.results[0] if is_one else None


@dataclass
class Heard:
    """What was exchanged.

    Attributes:
        is_complete: Whether that was all, as libpq tells of the messages that it sent; known at the end.
    """

    exchanges: list[Exchange] = field(default_factory=list)
    is_complete: bool = False


class _Listening:
    """Keeps what a cursor exchanges: psycopg tells of a statement nowhere else as it is sent."""

    heard: list[Exchange]
    raw: Any

    def _execute_send(self, query: Any, *, force_extended: bool = False, binary: bool | None = None) -> None:
        is_binary = binary or (binary is None and getattr(self, "format", _TEXT) == _BINARY)
        formats = [int(each) for each in query.formats or ()]
        sent = (bytes(query.query), list(query.params or ()), list(query.types or ()), formats)
        self._exchange = Exchange(*sent, _BINARY if is_binary else _TEXT)
        self.heard.append(self._exchange)
        super()._execute_send(query, force_extended=force_extended, binary=binary)  # type: ignore[misc]

    def _set_results(self, results: list[PGresult]) -> None:
        self._exchange.results = tuple(results)
        super()._set_results(results)  # type: ignore[misc]


def raw_cursor(connection: Connection[Any]) -> RawCursor[Any]:
    """Returns a cursor that takes `$1` for placeholders, and is listened to as others are."""
    factory = connection.cursor_factory
    found: RawCursor[Any] = factory.raw(connection) if issubclass(factory, _Listening) else RawCursor(connection)
    return found


@contextmanager
def listening(connection: Connection[Any]) -> Iterator[Heard]:
    """Keeps all that is exchanged within the block."""
    made = Heard()

    class Raw(_Listening, RawCursor[Any]):
        heard = made.exchanges

    class Listener(_Listening, Cursor[Any]):
        heard, raw = made.exchanges, Raw

    before = connection.cursor_factory
    connection.cursor_factory = Listener
    try:
        with _counted(connection, made):
            yield made
    finally:
        connection.cursor_factory = before


@contextmanager
def _counted(connection: Connection[Any], heard: Heard) -> Iterator[None]:
    """Compares with libpq's own trace, which is kept in memory: a cursor of another kind is not listened to."""
    if not hasattr(os, "memfd_create"):
        yield
        return
    descriptor = os.memfd_create("bootstrapper")
    try:
        connection.pgconn.trace(descriptor)
        try:
            connection.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
            yield
        finally:
            connection.pgconn.untrace()
        trace = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        heard.is_complete = len(_STATEMENT.findall(trace)) == len(heard.exchanges)
    finally:
        os.close(descriptor)
