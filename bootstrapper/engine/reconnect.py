"""Continues after the connection was lost in the middle of a run.

What the server still did then is unknown, a COMMIT included. So nothing is concluded from what was tried: the
database is looked at again, under a new hold, and what is done by now is not done again.
"""

from __future__ import annotations

from contextlib import suppress

from bootstrapper.deadline import Deadline
from bootstrapper.engine.run import Executor
from bootstrapper.errors import (
    BootstrapperError,
    CommitUnknownError,
    MigrationError,
    RefusedError,
    UnreachableError,
)
from bootstrapper.events import Emit, Warned
from bootstrapper.postgres.connection import sqlstates

MOST_COMEBACKS = 5


def apply(executor: Executor, deadline: Deadline, emit: Emit) -> None:
    """Applies, and reconnects a bounded number of times if the connection was lost under the lock.

    Raises the error as it is where coming back is not safe: the step that was cut off is one that cannot be begun
    again without knowing how far it got (`repeatable`), or its time is over.
    """
    for _ in range(MOST_COMEBACKS):
        try:
            executor.apply()
        except BootstrapperError as error:
            if not _is_loss(error, executor) or deadline.has_passed:
                raise
            if not executor.may_begin_again:
                with suppress(UnreachableError, RefusedError):  # then it stays unknown
                    executor.require_not_broken()
                raise
            emit(Warned(f"{error.headline}; looking again at what is done"))
            executor.come_back()
        else:
            return
    executor.apply()


def _is_loss(error: BootstrapperError, executor: Executor) -> bool:
    """Returns whether the lock's own connection is lost, or that of the worker that migrates beside it.

    A step that found no way in for a connection of its own, as pg_dump does, has waited for one itself.
    """
    if executor.hold is None:
        return False
    if isinstance(error, MigrationError):
        return sqlstates.is_loss(error.sqlstate, error.reason)
    return isinstance(error, UnreachableError | CommitUnknownError) and executor.hold.is_gone
