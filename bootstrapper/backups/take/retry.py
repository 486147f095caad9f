"""Begins a dump again where pg_dump found no way in for the moment, as when there are too many connections."""

from __future__ import annotations

import random
import re
import time
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
_NO_WAY_IN = re.compile(r"connection to server|could not connect")  # libpq's own words, in English under LC_ALL=C


def with_patience(context: RunContext, connections: int, attempt: Callable[[], T]) -> T:
    """What the attempt gives, tried again at growing pauses.

    Args:
        connections: How many pg_dump takes, beside the run's own.

    Raises UnreachableError where there was no way in to the last, RefusedError where there will be none.
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
            told = f"step {context.step!r}: pg_dump found no way in: {reason}; trying again"
            context.emit(Warned(told, _advice(connections)))
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - those who met are not to meet again
    raise AssertionError("the last attempt returns or raises")


def _reason(context: RunContext, said: Iterable[str]) -> str | None:
    """Why pg_dump had no way in for the moment; None where that is not what failed, or not for the moment.

    The server says it in a language of its own. Where that is not English, another login tells.
    """
    text = "\n".join(said)
    if not _NO_WAY_IN.search(text):
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
        f"pg_dump found no way in: {reason}",
        sqlstate=TOO_MANY_CONNECTIONS if "connections are taken" in reason else None,
        hint=_advice(connections),
    )


def _advice(connections: int) -> str:
    more = "one more" if connections == 1 else f"{connections} more"
    return f"Close connections that are not in use, or let the role and the server have {more} than the run's own."
