"""lock: one run at a time; the others wait without holding a connection."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from bootstrapper import __version__
from bootstrapper.deadline import Deadline
from bootstrapper.errors import LockTimeoutError, UnreachableError
from bootstrapper.events import LockAwaited, ScopeEntered, ScopeLeft
from bootstrapper.identifiers import uuid7
from bootstrapper.postgres.lock import Hold, Holder, RunDetails, try_take
from bootstrapper.step import Context, Scope, StepModel
from bootstrapper.units import Seconds

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0


class Lock(Scope):
    """Takes the lock of the ledger for all later steps."""

    uses = "lock"

    class With(StepModel):
        """How long to wait for another run.

        Attributes:
            timeout: When to give up, with exit code 7 and the name of the run that holds the lock.
        """

        timeout: Seconds = 300.0

    def enter(self, context: Context, pending: Callable[[], bool]) -> AbstractContextManager[Hold] | None:
        """Tries, disconnects, waits with full jitter, and asks the state before each further try.

        Raises LockTimeoutError, naming the holder, when the lock was not free in time.
        """
        started = time.monotonic()
        deadline = context.deadline.sooner(self.options.timeout)
        details = self._details(context)
        pause = _FIRST_PAUSE_SECONDS
        holder: Holder | None = None
        while True:
            taken = self._try(context, details, deadline)
            if isinstance(taken, Hold):
                return self._holding(context, taken)
            if taken != holder:
                context.emit(LockAwaited(self.name, str(taken)))
                holder = taken
            context.session.close()
            if deadline.has_passed:
                raise LockTimeoutError(str(taken), time.monotonic() - started)
            time.sleep(min(random.uniform(0.05, pause), deadline.seconds_left))  # noqa: S311 - jitter is no secret
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
            if self._is_done_meanwhile(context, pending, deadline):
                return None

    def _details(self, context: Context) -> RunDetails:
        project = context.project
        return RunDetails(uuid7(), project.command, project.environment, project.inputs, __version__)

    def _try(self, context: Context, details: RunDetails, deadline: Deadline) -> Hold | Holder:
        """A server without a free connection is as busy as a lock that is held."""
        try:
            context.session.open(deadline)
            return try_take(context.session, context.project.ledger, details)
        except UnreachableError:
            if deadline.has_passed:
                raise
            return Holder()

    def _is_done_meanwhile(self, context: Context, pending: Callable[[], bool], deadline: Deadline) -> bool:
        try:
            context.session.open(deadline)
            return not pending()
        except UnreachableError:
            return False

    @contextmanager
    def _holding(self, context: Context, hold: Hold) -> Iterator[Hold]:
        context.emit(ScopeEntered(self.name, f"run {hold.fence.run_id}"))
        try:
            yield hold
        finally:
            hold.release()
            context.emit(ScopeLeft(self.name))
