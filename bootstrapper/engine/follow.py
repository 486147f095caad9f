"""Waits until somebody else has reached the declared state: no lock, no write, no connection between looks."""

from __future__ import annotations

import random
import time

from bootstrapper.deadline import Deadline
from bootstrapper.engine.look import Looker
from bootstrapper.engine.run import Executor
from bootstrapper.errors import (
    AheadError,
    BlockedError,
    FixtureError,
    NotConvergedError,
    PendingError,
    UnreachableError,
)
from bootstrapper.events import ChangesAwaited, Emit, Warned
from bootstrapper.postgres.connection.session import Session

LONGEST_SECONDS = 300.0
"""Where neither the command nor the file sets a limit."""

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0


def follow(executor: Executor, looker: Looker, session: Session, deadline: Deadline, emit: Emit) -> bool:
    """Whether the declared state was reached; false where the database is ahead of the code and that will do.

    Raises PendingError at the deadline, AheadError where the file does not accept that.
    """
    started, until, longest = time.monotonic(), deadline.sooner(LONGEST_SECONDS), _FIRST_PAUSE_SECONDS
    pending: list[str] = []
    while True:
        if pending and until.has_passed:
            raise PendingError(pending, time.monotonic() - started)
        try:
            executor.open_gates()
            before, pending = pending, _pending(looker)
            if pending and pending != before:
                emit(ChangesAwaited(tuple(pending)))
        except UnreachableError:
            if not pending:
                raise
        except AheadError as error:
            if not error.is_acceptable:
                raise
            emit(Warned(f"{error.message}; going on with it, nothing is written", error.hint))
            return False
        else:
            if not pending:
                return True
        session.close()
        time.sleep(min(random.uniform(0.1, longest), until.seconds_left))  # noqa: S311 - no secret
        longest = min(longest * 2, _LONGEST_PAUSE_SECONDS)


def _pending(looker: Looker) -> list[str]:
    """Names of the steps that still have changes; what can not be seen just now counts as one."""
    try:
        return [step.name for step in looker.look() if step.has_changes]
    except (NotConvergedError, BlockedError) as error:
        return [error.step]  # whoever is at work may be between two states, or has a table for itself
    except FixtureError as error:
        if not error.may_come:
            raise
        return [f"fixture {error.fixture}"]
