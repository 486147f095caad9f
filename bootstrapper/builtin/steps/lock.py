"""lock: allows one run at a time; the others wait without holding a connection."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from bootstrapper import __version__
from bootstrapper.config.unit_fields import Seconds
from bootstrapper.deadline import Deadline
from bootstrapper.errors import LockTimeoutError, UnreachableError
from bootstrapper.events import LockAwaited, ScopeEntered, ScopeLeft
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.options import StepModel
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.scopes import LockScope
from bootstrapper.postgres.connection.sqlstates import READ_ONLY_SQL_TRANSACTION
from bootstrapper.postgres.ledger.run_ids import uuid7
from bootstrapper.postgres.lock.acquire import Holder, RunDetails, try_take
from bootstrapper.postgres.lock.hold import Hold
from bootstrapper.programs import ahead

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_IN_FRONT_SECONDS = 0.5
_LEAST_PAUSE_SECONDS = 0.05


class LockOptions(StepModel):
    """How long to wait for another run.

    Attributes:
        timeout: Time after which to give up, with exit code 7 and the name of the run that holds the lock.
    """

    timeout: Seconds = 300.0


class Lock(LockScope[LockOptions]):
    """Takes the ledger's lock for all later steps."""

    uses = "lock"

    def enter(self, context: Context, pending: Callable[[], bool]) -> AbstractContextManager[Hold] | None:
        """Tries, disconnects, waits with full jitter, and asks the state before each further try.

        Raises LockTimeoutError, naming the holder, when the lock was not free in time.
        """
        run = run_of(context)
        started = time.monotonic()
        deadline = run.deadline.sooner(self.options.timeout)
        pause = _FIRST_PAUSE_SECONDS
        busy: Holder | None = None
        said = ""
        while True:
            taken = self._try(run, deadline)
            if isinstance(taken, Hold):
                run.session.make_way()
                return self._holding(run, taken)
            ahead.dismiss()  # a worker is of no use to a run that waits, and takes memory
            if str(taken) != said and not deadline.has_passed:
                said = str(taken)
                run.emit(LockAwaited(self.name, said))
            busy = taken if isinstance(taken, Holder) else busy
            run.session.close()
            self._pause(run, pause, deadline)
            pause *= 1.5
            self._queue(run, deadline)
            if deadline.has_passed and isinstance(taken, UnreachableError) and busy is None:
                raise taken
            if deadline.has_passed:
                raise LockTimeoutError(str(busy or taken), time.monotonic() - started)
            if self._is_done_meanwhile(run, pending, deadline):
                return None

    def _queue(self, context: RunContext, deadline: Deadline) -> None:
        """Waits in the queue of this host until it is this run's turn to look."""
        while not context.session.queue(deadline) and not deadline.has_passed:
            deadline.sleep(_LEAST_PAUSE_SECONDS)

    def _pause(self, context: RunContext, seconds: float, deadline: Deadline) -> None:
        """Pauses between tries: shortly at the front of this host's queue, on behalf of all behind."""
        longest = _LONGEST_PAUSE_IN_FRONT_SECONDS if context.session.is_in_front else _LONGEST_PAUSE_SECONDS
        deadline.sleep(random.uniform(_LEAST_PAUSE_SECONDS, min(seconds, longest)))  # noqa: S311 - jitter

    def _details(self, context: RunContext) -> RunDetails:
        """Returns the details with a new run id for each try: whether the last one was committed may be unknown."""
        project = context.project
        facts = (project.command, project.environment, project.inputs, __version__)
        return RunDetails(
            uuid7(),
            *facts,
            project=project.name,
            file=project.document.name,
            plan=project.plan,
            declared=project.declared(),
            ignores_freeze=project.ignores_freeze,
        )

    def _try(self, context: RunContext, deadline: Deadline) -> Hold | Holder | UnreachableError:
        """Tries once; a server without a free connection counts as busy, a read-only one is an error."""
        try:
            context.session.open(deadline)
            return try_take(context.session, context.project.ledger, self._details(context))
        except UnreachableError as error:
            if error.sqlstate == READ_ONLY_SQL_TRANSACTION:
                raise
            return error

    def _is_done_meanwhile(self, context: RunContext, pending: Callable[[], bool], deadline: Deadline) -> bool:
        try:
            context.session.open(deadline)
            return not pending()
        except UnreachableError:
            return False

    @contextmanager
    def _holding(self, context: RunContext, hold: Hold) -> Iterator[Hold]:
        run_id = str(hold.fence.run_id)
        try:
            context.emit(ScopeEntered(self.name, f"run {run_id}", run_id))
            yield hold
        finally:
            hold.release()
            context.emit(ScopeLeft(self.name))
