"""Says for whom a run waits where other sessions hold locks, while it waits and where that took too long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import psycopg

from bootstrapper.deadline import Deadline
from bootstrapper.engine.lockwatch import LockWatch, Watched
from bootstrapper.errors import BlockedError, BootstrapperError, StepError, StepFailedError, UnreachableError
from bootstrapper.events import StepBlocked
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.server_messages import said
from bootstrapper.postgres.connection.sqlstates import LOCK_NOT_FREE
from bootstrapper.postgres.lock.blockers import Blocker

AnyError = TypeVar("AnyError", bound=BaseException)


@contextmanager
def watched(context: RunContext, step: Callable[[], str], *, works_beside: bool = False) -> Iterator[LockWatch]:
    """Within it, what keeps the run is told.

    Args:
        step: Tells which step is at work.
        works_beside: Whether it uses other sessions than the run's own.
    """
    session, connection, is_held = context.session, context.connection, context.hold is not None
    is_pooled = session.server.pooled

    def tell(blockers: Sequence[Blocker]) -> None:
        for blocker in blockers:
            context.emit(_event(step(), blocker))

    watched = Watched(
        target=session.target,
        connection=connection,
        pids=[] if is_pooled else [connection.info.backend_pid],
        names=[context.application_name] if is_held or is_pooled else [],
        holds_lock=is_held,
        works_beside=works_beside,
        quote=context.masker.quote,
    )
    with LockWatch(watched, tell) as watch:
        yield watch


@contextmanager
def told(context: RunContext, step: Callable[[], str]) -> Iterator[LockWatch]:
    """Around a look: what keeps it is told, and an error where that was not free in time."""
    with watched(context, step) as watch:
        try:
            yield watch
        except (BootstrapperError, psycopg.Error) as error:
            failure = judged(error, step(), watch, context.deadline)
            if failure is error:
                raise
            raise failure from error


def judged(error: AnyError, step: str, watch: LockWatch, deadline: Deadline) -> AnyError | BlockedError:
    """The error as BlockedError where it came of a lock that was not free; any other as it is."""
    if isinstance(error, BlockedError):
        return error
    if getattr(error, "sqlstate", None) in LOCK_NOT_FREE:
        return BlockedError(step, _as_ours(error), watch.last)
    if watch.current and deadline.has_passed:
        if isinstance(error, StepError | UnreachableError):
            return BlockedError(step, error, watch.current)
        if isinstance(error, psycopg.Error):  # its text is that of a closed connection
            return BlockedError(step, StepFailedError(f"{step} was not done within its time"), watch.current)
    return error


def _as_ours(error: BaseException) -> BootstrapperError:
    if isinstance(error, psycopg.Error):
        return StepFailedError(said(error), sqlstate=error.sqlstate)
    assert isinstance(error, BootstrapperError)
    return error


def _event(step: str, blocker: Blocker) -> StepBlocked:
    return StepBlocked(
        step,
        str(blocker),
        blocker.pid,
        blocker.role,
        blocker.application,
        blocker.host,
        blocker.since.isoformat() if blocker.since else None,
        blocker.statement,
    )
