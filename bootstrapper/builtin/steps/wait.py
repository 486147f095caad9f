"""wait: waits until the server accepts connections, and writes if they are needed."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from bootstrapper.config.unit_fields import Seconds
from bootstrapper.config.units import show_seconds
from bootstrapper.deadline import Deadline
from bootstrapper.errors import RefusedError, Source, UnreachableError
from bootstrapper.events import AttemptFailed, GateOpened
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.options import StepModel
from bootstrapper.plugin.scopes import Gate
from bootstrapper.postgres.connection.connect import ping
from bootstrapper.postgres.connection.introduction import Server
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.sqlstates import READ_ONLY_SQL_TRANSACTION

_LEAST_SECONDS = 0.1  # too little time before the deadline for another try

Pause = Annotated[Seconds, Field(gt=0)]


class WaitOptions(StepModel):
    """How long to wait, and for what.

    Attributes:
        timeout: Maximum time to wait.
        access: `read-write` needs a primary that accepts writes, `read-only` a session that accepts none, `any`
            either.
        interval: Upper limit of the first pause; it doubles with each attempt.
        max_interval: Upper limit of every pause.
    """

    timeout: Seconds = 60.0
    access: Literal["read-write", "read-only", "any"] = Field("read-write", alias="for")
    interval: Pause = 0.25
    max_interval: Pause = 3.0


class Wait(Gate[WaitOptions]):
    """Opens the session of the run, so that an available server costs one login and no more."""

    uses = "wait"
    pure = True

    def __init__(
        self,
        name: str,
        options: WaitOptions,
        source: Source | None = None,
        *,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        super().__init__(name, options, source)
        self._sleep = sleep

    def open(self, context: Context) -> None:
        """Tries at once, then retries with full jitter; a permanent error ends it at the first try.

        Time in the queue of this host's processes does not count.
        """
        run = run_of(context)
        run.session.queue(run.deadline)
        started = time.monotonic()
        limit = self._limit(run.deadline)
        deadline = run.deadline.sooner(self.options.timeout)
        patience = _Patience()
        attempt, told = 1, None
        while error := self._try(run.session, deadline, first=attempt == 1):
            seconds = time.monotonic() - started
            if told and not error.sqlstate and deadline.seconds_left <= 0:
                error = told  # cut off by the deadline, so its reason is less informative
            told = error
            if patience.is_over(error):
                raise _final(error, attempt, seconds) from error
            if deadline.seconds_left < _LEAST_SECONDS:
                raise _final(error, attempt, seconds, limit) from error
            pause = self._pause(attempt, deadline)
            run.emit(AttemptFailed(self.name, attempt, error.reason, pause))
            (self._sleep or deadline.sleep)(pause)
            attempt += 1
        run.emit(GateOpened(self.name, time.monotonic() - started, _detail(run.session.server)))

    def _limit(self, deadline: Deadline) -> str:
        """Returns the limit that ends the wait, as a hint."""
        if self.options.timeout < deadline.seconds_left:
            return f"`timeout` of step {self.name!r} limits the wait to {show_seconds(self.options.timeout)}."
        return "The time limit of the whole run (--timeout or `limits`) ended the wait."

    def _try(self, session: Session, deadline: Deadline, *, first: bool) -> UnreachableError | None:
        try:
            if not first:
                # A ping without a password is not a failed login, which a server or pooler might penalise.
                ping(session.target, deadline=deadline)
            session.open(deadline)
            self._want(session)
        except UnreachableError as error:
            return error
        return None

    def _want(self, session: Session) -> None:
        """Raises UnreachableError where the session does not take what is wanted: a standby may be promoted yet."""
        server, access = session.server, self.options.access
        if access == "any" or server.read_only == (access == "read-only"):
            return
        session.close()
        if access != "read-only":
            raise server.refusal_of_writes(session.target.where)
        reason = "the server accepts writes, but a read-only server is required"
        hint = "Connect to a standby, or set `for: any`."
        raise UnreachableError(session.target.where, reason, sqlstate=READ_ONLY_SQL_TRANSACTION, hint=hint)

    def _pause(self, attempt: int, deadline: Deadline) -> float:
        """Returns a pause with full jitter; shorter towards the deadline, so that the last try comes close to it."""
        longest = min(self.options.max_interval, self.options.interval * 2.0 ** min(attempt - 1, 30))
        return min(random.uniform(0, longest), deadline.seconds_left / 2)  # noqa: S311 - jitter, not a secret


class _Patience:
    """Ends the wait after a while of errors that are retryable only for a short time, such as DNS."""

    def __init__(self) -> None:
        self._since: float | None = None

    def is_over(self, error: UnreachableError) -> bool:
        if math.isinf(error.patience_seconds):
            self._since = None
            return False
        if self._since is None:
            self._since = time.monotonic()
        return time.monotonic() - self._since > error.patience_seconds


def _final(error: UnreachableError, attempts: int, seconds: float, limit: str = "") -> UnreachableError | RefusedError:
    """Returns the error of the last attempt; a repeated answer of a server counts as permanent, silence never does."""
    if error.sqlstate and not math.isinf(error.patience_seconds):
        return RefusedError(error.where, error.reason, sqlstate=error.sqlstate)
    return UnreachableError(
        error.where,
        error.reason,
        attempts=attempts,
        seconds=seconds,
        sqlstate=error.sqlstate,
        patience_seconds=error.patience_seconds,
        hint=" ".join(filter(None, (error.hint, limit))),
    )


def _detail(server: Server) -> str:
    kind = ", a standby" if server.in_recovery else ", read-only" if server.read_only else ""
    return f"PostgreSQL {server.version}{kind}{' through a pooler' if server.pooled else ''}"
