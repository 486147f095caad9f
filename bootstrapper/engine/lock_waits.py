"""Reports the sessions whose locks a run waits for: in events while it waits, and in the error if it took too long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
from psycopg import Connection
from psycopg.pq import TransactionStatus

from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BlockedError, BootstrapperError, StepError, StepFailedError, UnreachableError
from bootstrapper.events import StepBlocked
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection import settings
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.server_messages import said
from bootstrapper.postgres.connection.sqlstates import LOCK_NOT_FREE
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.lock.blockers import Blocker, read_blockers

FIRST_SECONDS = 1.0
POLL_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 4.0
_CONNECT_SECONDS = 5.0
_LONGEST_STATEMENT = 120

AnyError = TypeVar("AnyError", bound=BaseException)


@contextmanager
def watched(
    context: RunContext, step: Callable[[], str], *, works_beside: bool = False, is_watched: bool = True
) -> Iterator[LockWatch]:
    """Reports the sessions that block the run, within the context.

    Args:
        step: Tells which step is at work.
        works_beside: Whether it uses other sessions than the run's own.
        is_watched: False where who blocks the run does not matter, so that no second connection is made.
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
        name=context.application_name,
        holds_lock=is_held,
        works_beside=works_beside,
        quote=context.masker.quote,
    )
    watch = LockWatch(watched, tell)
    with watch if is_watched else nullcontext():
        yield watch


@contextmanager
def told(context: RunContext, step: Callable[[], str], *, is_watched: bool = True) -> Iterator[LockWatch]:
    """Wraps a look: reports the sessions that block it, and names them in the error if a lock was not free in time."""
    with watched(context, step, is_watched=is_watched) as watch:
        try:
            yield watch
        except (BootstrapperError, psycopg.Error) as error:
            failure = judged(error, step(), watch, context.deadline)
            if failure is error:
                raise
            raise failure from error


def judged(error: AnyError, step: str, watch: LockWatch, deadline: Deadline) -> AnyError | BlockedError:
    """Returns the error as BlockedError if its cause was a lock that was not free; any other as it is."""
    if isinstance(error, BlockedError):
        return error
    if getattr(error, "sqlstate", None) in LOCK_NOT_FREE:
        return BlockedError(step, _as_ours(error), watch.last)
    if watch.current and deadline.has_passed:
        if isinstance(error, StepError | UnreachableError):
            return BlockedError(step, error, watch.current)
        if isinstance(error, psycopg.Error):  # its message only says that the connection is closed
            return BlockedError(step, StepFailedError(f"{step} exceeded its deadline"), watch.current)
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


@dataclass(frozen=True)
class Watched:
    """The run that is watched.

    Attributes:
        connection: Of the run itself.
        pids: Backends that are the run's alone; none behind a pooler.
        names: Application names of its sessions.
        name: Application name of the watching session, which is that of the run.
        holds_lock: Whether the run holds the lock, so that there is one such watch at a time.
        works_beside: Whether other sessions than `connection` may work for the run, too.
        quote: Takes secrets out of what another session runs.
    """

    target: Target
    connection: Connection[Any]
    pids: Sequence[int]
    names: Sequence[str]
    name: str
    holds_lock: bool
    works_beside: bool
    quote: Callable[[str], str]


class LockWatch:
    """A thread with a separate connection, opened only once a statement takes long and kept only while it waits.

    Attributes:
        last: The blocking sessions seen last.
        current: The blocking sessions at the last look; empty if the run did not wait.
    """

    def __init__(self, watched: Watched, tell: Callable[[Sequence[Blocker]], None]) -> None:
        """Takes a function that the thread calls at first and whenever the blocking sessions change."""
        self._watched = watched
        self._tell = tell
        self._ended = threading.Event()
        self._telling = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="bootstrapper-lock-watch", daemon=True)
        self.last: tuple[Blocker, ...] = ()
        self.current: tuple[Blocker, ...] = ()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops reporting; does not wait for the thread, since a connect may take long."""
        with self._telling:
            self._ended.set()

    def _watch(self) -> None:
        connection: Connection[Any] | None = None
        pause = FIRST_SECONDS
        try:
            while not self._ended.wait(pause):
                if not self._is_busy():
                    self._see(())
                    continue
                try:
                    connection = connection or self._connect()
                    self._see(self._read(connection))
                except (BootstrapperError, psycopg.Error):  # a full or lost server is reported by the run itself
                    _close(connection)
                    connection = None
                    self._see(())
                if self._watched.holds_lock or self.current:
                    pause = POLL_SECONDS
                else:  # any number of runs may look at once
                    _close(connection)
                    connection = None
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        finally:
            _close(connection)

    def _is_busy(self) -> bool:
        """Returns whether a statement is running; for other sessions of the run this is unknown."""
        connection = self._watched.connection
        is_active = not connection.closed and connection.info.transaction_status == TransactionStatus.ACTIVE
        return is_active or self._watched.works_beside

    def _read(self, connection: Connection[Any]) -> tuple[Blocker, ...]:
        found = read_blockers(connection, self._watched.pids, self._watched.names)
        return tuple(replace(each, statement=each.statement and self._shown(each.statement)) for each in found)

    def _shown(self, statement: str) -> str:
        """Masks first and cuts afterwards: a part of a secret would not be recognised."""
        return self._watched.quote(statement)[:_LONGEST_STATEMENT]

    def _connect(self) -> Connection[Any]:
        deadline = Deadline.after(_CONNECT_SECONDS)
        connection = connect(self._watched.target, deadline=deadline, application_name=self._watched.name)
        settings.greet(connection)
        return connection

    def _see(self, found: tuple[Blocker, ...]) -> None:
        with self._telling:
            if self._ended.is_set():
                return
            is_new = [each.pid for each in found] != [each.pid for each in self.current]
            self.current = found
            self.last = found or self.last
            if found and is_new:
                self._tell(found)


def _close(connection: Connection[Any] | None) -> None:
    if connection is not None:
        connection.close()
