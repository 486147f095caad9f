"""One login, under a deadline that the server cannot stretch, with the SQLSTATE that psycopg hides."""

from __future__ import annotations

import math
import os
import re
import select

from psycopg import NotSupportedError, pq
from psycopg.pq import ConnStatus, PollingStatus, Trace
from psycopg.pq.abc import PGconn

from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.postgres.connection import sqlstates

# libpq's trace gives a message one line, unless a name in it holds a line break: S "FATAL" V "FATAL" C "28P01" M "..."
_ERROR_RESPONSE = r'(?sm)^B\t\d+\tErrorResponse\t.*? C "([0-9A-Z]{5})" M "(.*?)"(?: [DHPpqWstcdnFLR] "| *\\x00)'

# With sslmode=prefer libpq connects again without TLS after any error, a wrong password included: a second login, which
# can lock an account. Only after these can it help.
_MAY_PASS_WITHOUT_TLS = frozenset(
    {sqlstates.INVALID_AUTHORIZATION, sqlstates.PROTOCOL_VIOLATION, sqlstates.FEATURE_NOT_SUPPORTED}
)
_ASKED = frozenset({ConnStatus.AWAITING_RESPONSE, ConnStatus.AUTH_OK})
_CONNECTING = frozenset({ConnStatus.NEEDED, ConnStatus.STARTED, ConnStatus.MADE})


@dataclass(frozen=True)
class Failure:
    """Why a connect failed.

    Attributes:
        message: The server's primary message where there is a code, else libpq's or our own.
        sqlstate: The code of the first error that the server sent; None if it sent none or where libpq's trace is
            not to be had (anywhere but on Linux).
        needs_password: The server asked for a password, and there was none.
        unresolved: The host's name could not be resolved.
    """

    message: str
    sqlstate: str | None = None
    needs_password: bool = False
    unresolved: bool = False


def attempt(conninfo: str, deadline: Deadline) -> PGconn | Failure:
    """Connects, or returns the failure; the deadline holds even without an answer."""
    pgconn = pq.PGconn.connect_start(conninfo.encode())
    wire = _Wire(pgconn)
    try:
        failure = _drive(pgconn, wire, deadline)
    except BaseException:
        wire.close()
        pgconn.finish()
        raise
    wire.close()
    if failure:
        pgconn.finish()
        return failure
    pgconn.nonblocking = 1  # as psycopg's own connect leaves it
    return pgconn


def _drive(pgconn: PGconn, wire: _Wire, deadline: Deadline) -> Failure | None:
    seconds = deadline.seconds_left
    status = PollingStatus.WRITING  # where libpq's manual says a connection begins
    asked = False
    while pgconn.status != ConnStatus.BAD and status != PollingStatus.FAILED:
        if not _is_ready(pgconn.socket, status, deadline):
            return wire.first_error() or Failure(f"no answer within {seconds:.1f} s")
        status = PollingStatus(pgconn.connect_poll())
        if status == PollingStatus.OK:
            return None
        if asked and pgconn.status in _CONNECTING:
            error = wire.first_error()
            if error and error.sqlstate not in _MAY_PASS_WITHOUT_TLS:
                return error
        asked = pgconn.status in _ASKED
    return wire.first_error() or Failure(pgconn.get_error_message(), needs_password=pgconn.needs_password)


def _is_ready(descriptor: int, status: PollingStatus, deadline: Deadline) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN if status == PollingStatus.READING else select.POLLOUT)
    while not (ready := poll.poll(_milliseconds(deadline.tick_seconds))) and not deadline.has_passed:
        pass
    return bool(ready)


def _milliseconds(seconds: float) -> int | None:
    return None if math.isinf(seconds) else math.ceil(seconds * 1000)


class _Wire:
    """Listens in on the protocol. The trace lives in memory, and only the errors in it are ever taken out."""

    def __init__(self, pgconn: PGconn) -> None:
        self._pgconn = pgconn
        self._descriptor: int | None = None
        if pgconn.status == ConnStatus.BAD or not hasattr(os, "memfd_create"):
            return
        self._descriptor = os.memfd_create("bootstrapper")
        try:
            pgconn.trace(self._descriptor)
            pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        except NotSupportedError:
            self.close()

    def first_error(self) -> Failure | None:
        """Ends the trace: only then does libpq write out what it still holds."""
        if self._descriptor is None:
            return None
        self._pgconn.untrace()
        text = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0).decode(errors="replace")
        match = re.search(_ERROR_RESPONSE, text)
        return Failure(match[2], match[1]) if match else None

    def close(self) -> None:
        """Must come before the connection's end: libpq writes to the trace until then."""
        if self._descriptor is not None:
            self._pgconn.untrace()
            os.close(self._descriptor)
            self._descriptor = None
