"""Starts a dump again after pg_dump could not connect for the moment, as with too many connections."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from bootstrapper.errors import BackupError, UnreachableError
from bootstrapper.events import Warned
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.sqlstates import TOO_MANY_CONNECTIONS, judge_text

T = TypeVar("T")

PAUSES = (0.5, 1.0, 2.0, 3.0, 5.0, 5.0, 5.0, 5.0)

_PROBE_SECONDS = 5.0
_NOT_CONNECTED = re.compile(r"connection to server|could not connect")  # libpq's words under LC_ALL=C


def retry_connecting(context: RunContext, connections: int, attempt: Callable[[], T]) -> T:
    """Returns the result of the attempt, which is repeated after growing pauses.

    Args:
        connections: How many pg_dump needs beside that of the run.

    Raises UnreachableError if the last attempt could not connect either, RefusedError if none ever will.
    """
    for pause in (*PAUSES, None):
        try:
            return attempt()
        except BackupError as error:
            reason = _reason(context, error.details)
            if reason is None:
                raise
            if pause is None or context.deadline.seconds_left < pause:
                raise _unreachable(context, connections, reason) from error
            told = f"step {context.step!r}: pg_dump could not connect: {reason}; retrying"
            context.emit(Warned(told, _advice(connections)))
            context.deadline.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads runs that collided
    raise AssertionError("the last attempt returns or raises")


def _reason(context: RunContext, said: Iterable[str]) -> str | None:
    """Returns why pg_dump could not connect for the moment; None for any other failure.

    The server may answer in another language than English; then a login of our own tells.
    """
    text = "\n".join(said)
    if not _NOT_CONNECTED.search(text):
        return None
    verdict = judge_text(text)
    if verdict is not None:
        return verdict.reason if verdict.transient else None
    try:
        probe = connect(
            context.session.target,
            deadline=context.deadline.sooner(_PROBE_SECONDS),
            application_name=context.application_name,
        )
    except UnreachableError as error:
        return error.reason
    probe.close()
    return "the connection failed"


def _unreachable(context: RunContext, connections: int, reason: str) -> UnreachableError:
    return UnreachableError(
        context.session.target.where,
        f"pg_dump could not connect: {reason}",
        sqlstate=TOO_MANY_CONNECTIONS if "too many connections" in reason else None,
        hint=_advice(connections),
    )


def _advice(connections: int) -> str:
    more = "one more" if connections == 1 else f"{connections} more"
    return f"Close unused connections, or raise the limit of the role or the server: the backup needs {more}."
