"""Plans and applies: each function of a command returns data, and never prints, exits or reads the environment."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg import Connection

from bootstrapper.api.interruption import stoppable
from bootstrapper.engine import follow as following
from bootstrapper.engine import identity, reconnect
from bootstrapper.engine.busy_tables import while_held
from bootstrapper.engine.guard import left_alone
from bootstrapper.engine.open import Opened, Request, opened
from bootstrapper.errors import (
    AheadError,
    BlockedError,
    BootstrapperError,
    RunInterrupted,
    UnreachableError,
    UnsetVariablesError,
)
from bootstrapper.events import RunFinished, once
from bootstrapper.migrations.commands.relative import RELATIVE, resolve_relative
from bootstrapper.plans import DatabaseIdentity, Plan, PlannedStep
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import HasHeads
from bootstrapper.postgres.connection.introduction import Server
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.ledger.ledger import LedgerNames, RunRecord

if TYPE_CHECKING:  # loaded by the command alone
    from bootstrapper.fixtures.pull.pulling import Pulled, Wanted


@dataclass(frozen=True)
class Outcome:
    """What `apply` did.

    Attributes:
        plan: As it stood before the lock was taken.
        applied: The steps that changed something, with what they changed.
        run_id: None where nothing was to do, or nothing any more once the lock was free.
        ahead: Whether the database is ahead of this code, which the start of an application accepts: it wrote nothing,
            or nothing more.
    """

    plan: Plan
    applied: tuple[PlannedStep, ...]
    run_id: UUID | None
    seconds: float
    embedded: bool
    ahead: bool = False


@dataclass(frozen=True)
class Followed:
    """How a wait for other runs ended.

    Attributes:
        is_reached: Whether the database is as declared. Else it is ahead of this code, which will do unless the file
            says `ahead: refuse`.
    """

    is_reached: bool
    seconds: float


@dataclass(frozen=True)
class Ready:
    """A database that accepts connections, and how long that took."""

    database: DatabaseIdentity
    seconds: float


def plan(request: Request, command: str = "plan") -> Plan:
    """What `apply` would do. Leaves nothing behind, in the database or beside it."""
    with stoppable(request.stop), opened(request, command, writes=False) as run:
        run.executor.open_gates()
        planned = look(run, sql=request.sql)
        if planned.pending and run.guard is not None:
            run.guard.require_current()
        for warning in identity.expected(run.session, run.project) if planned.pending else ():
            request.tell(warning)
        return planned


def is_left_alone(request: Request) -> bool:
    """Whether the start of the application would write nothing since the database is ahead, and that is accepted."""
    with stoppable(request.stop), opened(request, "plan", writes=False) as run:
        run.executor.open_gates()
        try:
            if run.guard is not None:
                run.guard.require_current()
        except AheadError as error:
            if not error.is_acceptable:
                raise
            return True
        return False


def apply(request: Request, command: str = "apply") -> Outcome:
    """Does what there is to do, under the lock.

    Raises the error of the first step that failed; what earlier steps committed stays.
    """
    started = time.monotonic()
    outcome = "failed"
    applied: list[PlannedStep] = []
    try:
        with stoppable(request.stop), opened(request, command, writes=True) as run:
            applied = run.executor.applied
            run.executor.open_gates()
            planned, is_ahead = _bring_up(run, request)
            outcome = "done" if applied else "unchanged"
            run_id = run.executor.hold.fence.run_id if run.executor.hold else None
            is_embedded = run.address.embedded is not None
        return Outcome(planned, tuple(applied), run_id, time.monotonic() - started, is_embedded, is_ahead)
    except BootstrapperError as error:
        outcome = "interrupted" if error.exit_code >= 130 else "failed"
        raise
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    finally:
        request.tell(RunFinished(outcome, time.monotonic() - started, len(applied)))


def _bring_up(run: Opened, request: Request) -> tuple[Plan, bool]:
    """Looks, and makes the changes; returns the plan, and whether the database was left alone since it is ahead."""
    planned: Plan | None = None
    try:
        planned = while_held(run.session, run.project.ledger, run.deadline, lambda: _first_look(run))
        if planned.pending and run.guard is not None:
            while_held(run.session, run.project.ledger, run.deadline, run.guard.require_current)
        if planned.unset:
            raise UnsetVariablesError(planned.unset, run.project.document.messages_for(planned.unset))
        if planned.pending:
            identity.require_own_environment(run.session, run.project, request.confirmed)
            run.executor.keep_to(planned.steps)
            reconnect.apply(run.executor, run.deadline, request.tell)
    except AheadError as error:
        if run.guard is None or not run.guard.accepts(error):
            raise
        request.tell(left_alone(error, is_partly_done=bool(run.executor.applied)))
        return planned or plan_of(run, run.session.server, (), None, is_result=False), True
    return planned, False


def _first_look(run: Opened) -> Plan:
    """A database that is ahead of the code is reported as that, whatever else of it the code does not understand."""
    try:
        return look(run, is_result=False, is_last=True)
    except (AheadError, BlockedError, RunInterrupted, UnreachableError):
        raise
    except BootstrapperError:
        if run.guard is not None:
            run.guard.require_current()
        raise


def follow(request: Request, *, looks_once: bool = False) -> Followed:
    """Waits until others have reached the declared state; takes no lock, writes nothing.

    Raises PendingError at the deadline, or after one look if that is all.
    """
    started = time.monotonic()
    request = replace(request, emit=once(request.emit))
    with stoppable(request.stop), opened(request, "check" if looks_once else "apply", writes=False) as run:
        is_reached = following.follow(
            run.executor,
            run.looker,
            run.session,
            run.deadline,
            request.tell,
            guard=run.guard,
            once=looks_once,
        )
    return Followed(is_reached, time.monotonic() - started)


def wait(request: Request) -> Ready:
    """Only opens the gates; a file without any still has to be answered by its database."""
    started = time.monotonic()
    with stoppable(request.stop), opened(request, "wait", writes=True, queues=False) as run:
        run.executor.open_gates()
        run.session.open()
        run.session.prove()
        return Ready(_identity(run, run.session.server), time.monotonic() - started)


def pull(request: Request, wanted: Wanted) -> Pulled:
    """Fixtures from the rows that tables hold at this moment. Writes nothing to the database, and takes no lock."""
    from bootstrapper.fixtures.pull import pulling  # noqa: PLC0415 - only this command needs it

    with opened(request, "pull", writes=False) as run:
        run.executor.open_gates()
        with run.looker.reading("pull") as connection:
            return pulling.pull(connection, wanted, run.project)


def relative_target(request: Request, text: str) -> str:
    """The revision that `+1` or `-2` stands for in the database as it is now; any other text as it is."""
    if not RELATIVE.fullmatch(text):
        return text
    with opened(request, "plan", writes=False) as run:
        run.executor.open_gates()
        with run.session.read_only() as connection:
            unit = next(entry.unit for entry in run.entries if isinstance(entry.unit, Step))
            return resolve_relative(connection, unit.options, run.project, run.deadline, text)


def look(run: Opened, *, is_result: bool = True, sql: bool = False, is_last: bool = False) -> Plan:
    """The plan as pure data.

    Args:
        is_result: Whether the plan is shown: then it also tells what it was worked out from, the ledger's serial
            and the heads of the migrations, and what the steps found besides. A run that only asks whether something
            is to do does without.
        sql: Whether the changes show their statements.
        is_last: Whether the connection may be closed if nothing is to do.
    """
    server = run.session.server
    record = _last_run(run) if is_result else None  # before the steps: a run in between makes the plan stale, not wrong
    steps = run.looker.look(for_reader=is_result, sql=sql, is_last=is_last)
    return plan_of(run, server, steps, record, is_result=is_result)


def plan_of(
    run: Opened, server: Server, steps: tuple[PlannedStep, ...], record: RunRecord | None, *, is_result: bool
) -> Plan:
    units = [entry.unit for entry in run.entries if isinstance(entry.unit, HasHeads)] if is_result else []
    return Plan(
        name=run.project.name,
        environment=run.project.environment,
        inputs=run.project.inputs,
        database=_identity(run, server),
        serial=record.serial if record else None,
        steps=steps,
        heads=tuple(head for unit in units for head in unit.heads(run.project)),
    )


def _identity(run: Opened, server: Server) -> DatabaseIdentity:
    return DatabaseIdentity(run.address.server, server.database, server.version, server.system_identifier, server.oid)


def _last_run(run: Opened) -> RunRecord | None:
    with run.session.read_only() as connection:
        return _readable(connection, run.project.ledger)


def _readable(connection: Connection[Any], names: LedgerNames) -> RunRecord | None:
    try:
        with connection.transaction():
            return ledger.last_run(connection, names)
    except ledger.UNREADABLE:
        return None
