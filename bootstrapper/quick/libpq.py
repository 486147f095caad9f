"""libpq through ctypes: one connection, statements in pipelines, never longer than a deadline.

Constants and functions as in libpq-fe.h: https://www.postgresql.org/docs/current/libpq.html
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from ctypes import CDLL, POINTER, c_char_p, c_int, c_uint, c_void_p, string_at
from typing import Any, NamedTuple

_BAD = 1
_TICK_SECONDS = 0.1
_POLL_FAILED, _POLL_WRITING, _POLL_OK = 0, 2, 3
_COMMAND_OK, _TUPLES_OK = 1, 2
_SQLSTATE = ord("C")
_TEXTS, _NUMBERS = POINTER(c_char_p), POINTER(c_int)
_FUNCTIONS: Sequence[tuple[Any, ...]] = (
    ("PQconnectStartParams", c_void_p, _TEXTS, _TEXTS, c_int),
    ("PQfinish PQclear", None, c_void_p),
    ("PQgetResult", c_void_p, c_void_p),
    ("PQhost PQport PQdb", c_char_p, c_void_p),
    ("PQconnectPoll PQstatus PQsocket PQbackendPID PQserverVersion", c_int, c_void_p),
    ("PQflush PQisBusy PQconsumeInput PQenterPipelineMode PQexitPipelineMode PQpipelineSync", c_int, c_void_p),
    ("PQsendQueryParams", c_int, c_void_p, c_char_p, c_int, POINTER(c_uint), _TEXTS, _NUMBERS, _NUMBERS, c_int),
    ("PQresultStatus PQnfields PQntuples", c_int, c_void_p),
    ("PQgetisnull PQgetlength", c_int, c_void_p, c_int, c_int),
    ("PQgetvalue", c_void_p, c_void_p, c_int, c_int),
    ("PQresultErrorField", c_char_p, c_void_p, c_int),
)
"""Names, what they return, and what they take."""


class QuickError(Exception):
    """The server or libpq did not do as asked; an ordinary run finds out why.

    Attributes:
        sqlstate: Of the statement that failed; None for anything else.
    """

    sqlstate: str | None = None


class Statement(NamedTuple):
    """A statement with its parameters as they are sent; a parameter is None for NULL.

    Attributes:
        types: Oids of the parameters' types; 0 leaves it to the server.
        formats: Of the parameters: 0 for text, 1 for binary; `result_format` is that of the result.
    """

    query: bytes
    parameters: Sequence[bytes | None] = ()
    types: Sequence[int] = ()
    formats: Sequence[int] = ()
    result_format: int = 0


class Result(NamedTuple):
    """The status of a statement, and its rows; a value is None for NULL."""

    status: int
    columns: int
    rows: Sequence[Sequence[bytes | None]]


class Connection:
    """A connection to the database; to be used in a `with`, which closes it."""

    def __init__(self, parameters: Mapping[str, str], deadline: float, is_over: Callable[[], bool] = bool) -> None:
        """Connects; raises QuickError.

        Args:
            parameters: libpq's keywords; `dbname` may be a URL, which wins over what stands before it.
            deadline: Of the login, by the monotonic clock; can be changed for what follows.
            is_over: Asked while it waits: whether the answer is not wanted any more.
        """
        self._is_over = is_over
        self._libpq, self.deadline = _library(), deadline
        names = (c_char_p * (len(parameters) + 1))(*(name.encode() for name in parameters), None)
        values = (c_char_p * (len(parameters) + 1))(*(value.encode() for value in parameters.values()), None)
        self._connection = self._libpq.PQconnectStartParams(names, values, 1)
        try:
            self._finish_login()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._libpq.PQfinish(self._connection)
        self._connection = None

    @property
    def backend_pid(self) -> int:
        return int(self._libpq.PQbackendPID(self._connection))

    @property
    def server_version(self) -> int:
        """As a number, such as 150018."""
        return int(self._libpq.PQserverVersion(self._connection))

    def place(self) -> tuple[str, str, str]:
        """Returns host, port and database."""
        found = (getattr(self._libpq, name)(self._connection) for name in ("PQhost", "PQport", "PQdb"))
        host, port, database = ((each or b"").decode() for each in found)
        return host, port, database

    def ask(self, statements: Sequence[Statement]) -> list[Result]:
        """Sends all statements in one message and returns their results; raises QuickError if one of them fails."""
        libpq, connection = self._libpq, self._connection
        _require(libpq.PQenterPipelineMode(connection))
        for each in statements:
            _require(libpq.PQsendQueryParams(connection, *_sent(each)))
        _require(libpq.PQpipelineSync(connection))
        self._flush()
        results = [self._result() for _ in statements]
        libpq.PQclear(self._next())  # the end of the pipeline
        _require(libpq.PQexitPipelineMode(connection))
        return results

    def _finish_login(self) -> None:
        if self._connection is None or self._libpq.PQstatus(self._connection) == _BAD:
            raise QuickError("cannot connect")
        writes = True
        while True:
            self._wait(writes=writes)
            state = self._libpq.PQconnectPoll(self._connection)
            if state == _POLL_OK:
                return
            if state == _POLL_FAILED:
                raise QuickError("cannot connect")
            writes = state == _POLL_WRITING

    def _wait(self, *, writes: bool = False) -> None:
        place = self._libpq.PQsocket(self._connection)
        if place < 0:
            raise QuickError("not connected")
        poll = select.poll()
        poll.register(place, select.POLLOUT if writes else select.POLLIN)
        while not poll.poll(_TICK_SECONDS * 1000):
            if time.monotonic() > self.deadline or self._is_over():
                raise QuickError("no answer in time")

    def _flush(self) -> None:
        """Blocks where the server does not take more; libpq reads meanwhile what it answers."""
        if self._libpq.PQflush(self._connection):
            raise QuickError("cannot send")

    def _next(self) -> int | None:
        """Returns the next result, or None at the end of a statement's results."""
        while self._libpq.PQisBusy(self._connection):
            self._wait()
            _require(self._libpq.PQconsumeInput(self._connection))
        found: int | None = self._libpq.PQgetResult(self._connection)
        return found

    def _result(self) -> Result:
        handle = self._next()
        if handle is None:
            raise QuickError("no result")
        try:
            result = self._read(handle)
        finally:
            self._libpq.PQclear(handle)
        if self._next() is not None:
            raise QuickError("more than one result")
        return result

    def _read(self, handle: int) -> Result:
        libpq = self._libpq
        status, columns = libpq.PQresultStatus(handle), libpq.PQnfields(handle)
        if status not in (_COMMAND_OK, _TUPLES_OK):
            error = QuickError("a statement failed")
            error.sqlstate = (libpq.PQresultErrorField(handle, _SQLSTATE) or b"").decode() or None
            raise error

        def value(row: int, column: int) -> bytes | None:
            if libpq.PQgetisnull(handle, row, column):
                return None
            return string_at(libpq.PQgetvalue(handle, row, column), libpq.PQgetlength(handle, row, column))

        rows = [[value(row, column) for column in range(columns)] for row in range(libpq.PQntuples(handle))]
        return Result(status, columns, rows)


def _sent(statement: Statement) -> tuple[object, ...]:
    count = len(statement.parameters)
    lengths = [len(each) if each is not None else 0 for each in statement.parameters]
    return (
        statement.query,
        count,
        (c_uint * count)(*statement.types),
        (c_char_p * count)(*statement.parameters),
        (c_int * count)(*lengths),
        (c_int * count)(*statement.formats),
        statement.result_format,
    )


def _require(worked: int) -> None:
    if not worked:
        raise QuickError("libpq refused")


def _library() -> CDLL:
    """Returns libpq, its functions declared; raises QuickError where there is none that suffices."""
    try:
        libpq = CDLL(_path())
    except OSError as error:
        raise QuickError("no libpq") from error
    for names, kind, *arguments in _FUNCTIONS:
        for name in names.split():
            function = getattr(libpq, name, None)
            if function is None:
                raise QuickError(f"a libpq without {name}")
            function.restype, function.argtypes = kind, arguments
    return libpq


def _path() -> str:
    """Returns the libpq that psycopg's binary wheel carries; without that, the system's name of it."""
    for folder in sys.path:
        for place in ("psycopg_binary.libs", os.path.join("psycopg_binary", ".dylibs")):
            beside = os.path.join(folder, place)
            if os.path.isdir(beside):
                found = [name for name in os.listdir(beside) if name.startswith("libpq")]
                if found:
                    return os.path.join(beside, found[0])
    return "libpq.5.dylib" if sys.platform == "darwin" else "libpq.so.5"
