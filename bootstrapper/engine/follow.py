"""Waits until another run has reached the declared state: no lock, no write, no connection between looks."""

from __future__ import annotations

import random
import time
from contextlib import suppress

from bootstrapper.deadline import Deadline
from bootstrapper.engine.freeze import FreezeWatch
from bootstrapper.engine.guard import Guard, left_alone
from bootstrapper.engine.look import Looker
from bootstrapper.engine.run import Executor
from bootstrapper.engine.undecided import impatient
from bootstrapper.errors import (
    AheadError,
    BlockedError,
    FixtureError,
    NotConvergedError,
    PendingError,
    RefusedError,
    UnreachableError,
)
from bootstrapper.events import ChangesAwaited, Emit
from bootstrapper.postgres.connection.session import Session

LONGEST_SECONDS = 300.0
"""The limit if neither the command nor the file sets one."""

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0


def follow(
    executor: Executor,
    looker: Looker,
    session: Session,
    deadline: Deadline,
    emit: Emit,
    *,
    freeze: FreezeWatch,
    guard: Guard | None = None,
    once: bool = False,
) -> bool:
    """Returns whether the declared state was reached; false if the database is ahead of the code and that is accepted.

    With a guard, what a newer configuration changed is not waited for either.

    A frozen database is waited for as well: it may be unfrozen in time.

    Raises PendingError at the deadline, or after one look if that is all, FrozenError if the database is frozen then,
    BlockedError if another session has locked what is to be looked at, AheadError if the file does not accept that.
    """
    started, until, longest = time.monotonic(), deadline.sooner(LONGEST_SECONDS), _FIRST_PAUSE_SECONDS
    pending: list[str] = []
    blocked: BlockedError | None = None
    while True:
        if (pending or blocked) and (once or until.has_passed):
            raise blocked or freeze.explained(PendingError(pending, None if once else time.monotonic() - started))
        try:
            executor.open_gates()
            before = pending
            with impatient(session):
                pending, blocked = _pending(looker)
            if pending and guard is not None:
                with suppress(BlockedError):  # by the run at work: asked again at the next look
                    guard.require_current()
            if pending and pending != before and not once:
                emit(ChangesAwaited(tuple(pending)))
            if pending:
                freeze.look()
        except UnreachableError:
            if not (pending or blocked):
                raise
        except AheadError as error:
            if not error.is_acceptable:
                raise
            emit(left_alone(error))
            return False
        else:
            if not (pending or blocked):
                return True
        session.close()
        if not once:
            until.sleep(random.uniform(0.1, longest))  # noqa: S311 - no secret
        longest = min(longest * 2, _LONGEST_PAUSE_SECONDS)


def _pending(looker: Looker) -> tuple[list[str], BlockedError | None]:
    """Returns the names of the steps that still have changes; one that cannot be looked at now counts as well.

    What another session has locked, such as the run at work, is unknown: then the error is returned.
    """
    try:
        return [step.name for step in looker.look(is_last=True) if step.has_changes], None
    except BlockedError as error:
        return [], error
    except NotConvergedError as error:
        return [error.step], None  # the run at work may be between two states
    except RefusedError as error:
        if error.step is None:
            raise
        return [error.step], None  # the run at work may have the privilege that this one needs only to make the changes
    except FixtureError as error:
        if not error.may_come:
            raise
        return [f"fixture {error.fixture}"], None
