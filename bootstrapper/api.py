"""One function for each command. They return data, and never print, exit or read the process's environment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg import Connection, errors

from bootstrapper import builtins, config, following, guarding, recovery
from bootstrapper.config import Loaded
from bootstrapper.demands import messages
from bootstrapper.disclosure import disclose
from bootstrapper.errors import BootstrapperError, RefusedError, UnsetVariablesError, UsageError
from bootstrapper.events import RunFinished, once
from bootstrapper.migrations.relative import RELATIVE, resolve_relative
from bootstrapper.opening import Opened, Request, Resolved, load_plugins, opened, resolve
from bootstrapper.patience import while_held
from bootstrapper.plan import DatabaseIdentity, Plan, PlannedStep
from bootstrapper.plugins import PluginInfo, unlisted
from bootstrapper.postgres import ledger, ledgerrights, lockstate
from bootstrapper.postgres.embedded import EmbeddedServer
from bootstrapper.postgres.ledger import LedgerNames, RunRecord
from bootstrapper.postgres.lock import Holder, read_holder
from bootstrapper.postgres.lockstate import LockState, read_state
from bootstrapper.postgres.records import RunHistory, read_history
from bootstrapper.postgres.saying import said
from bootstrapper.renderer import Renderer
from bootstrapper.step import Step

if TYPE_CHECKING:  # loaded by the command alone
    from bootstrapper.fixtures.pull.pulling import Pulled, Wanted

__all__ = [
    "Outcome",
    "Request",
    "Status",
    "Validation",
    "apply",
    "break_lock",
    "config_schema",
    "config_text",
    "embedded_server",
    "follow",
    "history",
    "is_protected",
    "lock_state",
    "plan",
    "plugins",
    "pull",
    "relative_target",
    "renderer",
    "status",
    "url",
    "validate",
    "wait",
]


_LONGEST_QUERY = 120
_MAY_SIGNAL = "Break the lock as a member of the holder's role, or of pg_signal_backend."


@dataclass(frozen=True)
class Outcome:
    """What `apply` did.

    Attributes:
        plan: As it stood before the lock was taken.
        applied: The steps that changed something, with what they changed.
        run_id: None where nothing was to do, or nothing any more once the lock was free.
    """

    plan: Plan
    applied: tuple[PlannedStep, ...]
    run_id: UUID | None
    seconds: float
    embedded: bool


@dataclass(frozen=True)
class Status:
    """How things stand. `last_run` and `holder` are None where there is none, or the ledger cannot be read.

    Attributes:
        errors: Why some of it is unknown.
        knows_ledger: Whether the role may read the ledger.
    """

    plan: Plan
    last_run: RunHistory | None
    holder: Holder | None
    errors: tuple[BootstrapperError, ...] = ()
    knows_ledger: bool = True


@dataclass(frozen=True)
class Validation:
    """What a file declares that was found right; `fixtures` counts rows, None for those in a file of their own."""

    file: Path
    environment: str | None
    steps: tuple[str, ...]
    fixtures: Mapping[str, int | None]


def plan(request: Request, command: str = "plan") -> Plan:
    """What `apply` would do. Leaves nothing behind, in the database or beside it."""
    with opened(request, command, writes=False) as run:
        run.executor.open_gates()
        planned = _look(run, sql=request.sql)
        for warning in guarding.expected(run.session, run.project) if planned.pending else ():
            request.tell(warning)
        return planned


def apply(request: Request, command: str = "apply") -> Outcome:
    """Does what there is to do, under the lock.

    Raises the error of the first step that failed; what earlier steps committed stays.
    """
    started = time.monotonic()
    outcome = "failed"
    applied: list[PlannedStep] = []
    try:
        with opened(request, command, writes=True) as run:
            applied = run.executor.applied
            run.executor.open_gates()
            planned = while_held(run.session, run.project.ledger, run.deadline, lambda: _look(run, is_result=False))
            if planned.unset:
                raise UnsetVariablesError(planned.unset, messages(run.project.document, planned.unset))
            if planned.pending:
                guarding.require_own_environment(run.session, run.project, request.confirmed)
                run.executor.keep_to(planned.steps)
                recovery.apply(run.executor, run.deadline, request.tell)
            outcome = "done" if applied else "unchanged"
            run_id = run.executor.hold.fence.run_id if run.executor.hold else None
            is_embedded = run.address.embedded is not None
        return Outcome(planned, tuple(applied), run_id, time.monotonic() - started, is_embedded)
    except BootstrapperError as error:
        outcome = "interrupted" if error.exit_code >= 130 else "failed"
        raise
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    finally:
        request.tell(RunFinished(outcome, time.monotonic() - started, len(applied)))


def follow(request: Request) -> bool:
    """Waits until others have reached the declared state; takes no lock, writes nothing.

    Returns:
        False where the database is ahead of this code, which will do unless the file says `ahead: refuse`.

    Raises PendingError at the deadline.
    """
    request = replace(request, emit=once(request.emit))
    with opened(request, "apply", writes=False) as run:
        return following.follow(run.executor, run.session, run.deadline, request.tell)


def history(request: Request, most: int) -> list[RunHistory] | None:
    """The latest runs with their revisions, newest first; None where there is no ledger.

    Raises RefusedError where the role may not read it.
    """
    with opened(request, "history", writes=False) as run:
        run.executor.open_gates()
        with run.session.read_only() as connection:
            ledgerrights.require(connection, run.project.ledger, run.session.target.where)
            try:
                return read_history(connection, run.project.ledger, most)
            except ledger.UNREADABLE:
                return None


def pull(request: Request, wanted: Wanted) -> Pulled:
    """Fixtures from the rows that tables hold at this moment. Writes nothing to the database, and takes no lock."""
    from bootstrapper.fixtures.pull import pulling  # noqa: PLC0415 - only this command needs it

    with opened(request, "pull", writes=False) as run:
        run.executor.open_gates()
        with run.executor.reading("pull") as connection:
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


def is_protected(request: Request) -> bool:
    """Whether the environment is one in which nothing is dropped without its name being typed."""
    return _load(request).protected


def wait(request: Request) -> None:
    """Only opens the gates; a file without any still has to be answered by its database."""
    with opened(request, "wait", writes=True, queues=False) as run:
        run.executor.open_gates()
        run.session.open()


def status(request: Request) -> Status:
    """The plan as far as it can be told, and what the ledger says of the last run and of the lock.

    Waits for nothing, and takes a standby as well as a primary.
    """
    with opened(request, "status", writes=False) as run:
        run.session.open()
        with run.session.read_only() as connection:
            refused = ledgerrights.refusal(connection, run.project.ledger, run.session.target.where)
            holder = read_holder(connection, run.project.ledger)
            last = _last_of_all(connection, run.project.ledger)
        steps, found = run.executor.look_at_what_can_be()
        planned = _plan_of(run, steps, last, is_result=True)
    found += [refused] if refused is not None else []
    return Status(planned, last, holder if holder.run_id is not None else None, tuple(found), refused is None)


def lock_state(request: Request) -> LockState | None:
    """Who holds the lock and who waits for it; None where it is free.

    Raises RefusedError where the role may not read the ledger.
    """
    with opened(request, "lock show", writes=False) as run, run.session.read_only() as connection:
        ledgerrights.require(connection, run.project.ledger, run.session.target.where)
        state = read_state(connection, run.project.ledger)
    if state is None:
        return None
    quote = request.masker.quote
    blocked = tuple(replace(each, query=quote(each.query)[:_LONGEST_QUERY]) for each in state.blocked)
    return replace(state, blocked=blocked)


def break_lock(request: Request, run: str) -> LockState:
    """Takes the lock away from just that run, named by its id or the end of it; gives the state that was ended.

    Raises GuardError where another run holds it, or none does, and RefusedError where the role may not do that.
    """
    with opened(request, "lock break", writes=True, queues=False) as at, at.session.limited(at.session.connection):
        where = at.session.target.where
        ledgerrights.require_breaking(at.session.connection, at.project.ledger, where)
        try:
            return lockstate.break_lock(at.session.connection, at.project.ledger, run)
        except errors.InsufficientPrivilege as error:
            raise RefusedError(where, f"the holder cannot be ended: {said(error)}", hint=_MAY_SIGNAL) from error


def _last_of_all(connection: Connection[Any], names: LedgerNames) -> RunHistory | None:
    try:
        with connection.transaction():
            return next(iter(read_history(connection, names, 1)), None)
    except ledger.UNREADABLE:
        return None


def _readable(connection: Connection[Any], names: LedgerNames) -> RunRecord | None:
    try:
        with connection.transaction():
            return ledger.last_run(connection, names)
    except ledger.UNREADABLE:
        return None


def validate(request: Request) -> Validation:
    """Reads the file, its overlay, its plugins and fixtures; connects to nothing."""
    resolved = resolve(request, "validate", connects=False, looks_further=True)
    rows = {name: _row_count(fixture.rows) for name, fixture in resolved.project.fixtures.items()}
    steps = tuple(f"{entry.name} ({entry.unit.uses})" for entry in resolved.entries)
    return Validation(request.file, resolved.project.environment, steps, rows)


def _row_count(rows: object) -> int | None:
    return len(rows) if isinstance(rows, dict | list) else None


def plugins(request: Request) -> tuple[PluginInfo, ...]:
    """What is built in, what the file lists, and what is installed without being listed."""
    loaded = _load(request)
    return (*load_plugins(request, loaded).infos, *unlisted(loaded.config.plugins))


def renderer(request: Request, format_name: str) -> Renderer:
    """What turns a plan into text of a format; a built-in one needs no file. Raises UsageError for an unknown one."""
    found = {kind.format: kind for kind in builtins.bootstrapper_renderers()}
    if format_name not in found:
        found = dict(load_plugins(request, _load(request)).renderers)
    if format_name not in found:
        known = ", ".join(sorted(found))
        raise UsageError(f"there is no format {format_name!r}", hint=f"Choose one of these: {known}.")
    return found[format_name]()


def embedded_server(request: Request) -> EmbeddedServer:
    """The embedded server of the file. Raises UsageError where the database is on a server of its own."""
    resolved: Resolved = resolve(request, "dev")
    if resolved.address.embedded is None:
        raise UsageError(
            f"the database is on {resolved.address.server}, not embedded",
            hint="Unset the variable that holds its address, or write `url: embedded:.bootstrapper/postgres`.",
        )
    return resolved.address.embedded


def url(request: Request, driver: str | None = None) -> str:
    """The database's URL, password included, for SQLAlchemy's driver where one is named.

    An embedded server is started where it does not run: nobody can use the URL else.
    """
    address = resolve(request, "url").address
    with address.reached(writes=True) as target:
        return target.url(driver)


def config_text(request: Request) -> str:
    """The file as it is in effect, with the overlay laid over it, as YAML without any secret."""
    loaded = _load(request)
    secret = {key for key, kind in load_plugins(request, loaded).values.items() if kind.secret}
    return disclose(loaded.document.data, secret)


def config_schema() -> dict[str, Any]:
    """The JSON Schema of the file."""
    from bootstrapper import schema  # noqa: PLC0415 - only this command needs it

    return schema.json_schema()


def _load(request: Request) -> Loaded:
    return config.load(request.file, request.environment, request.variables)


def _look(run: Opened, *, is_result: bool = True, sql: bool = False) -> Plan:
    """The plan as pure data.

    Args:
        is_result: Whether somebody will read it: then it also tells what it was worked out from, the ledger's serial
            and the heads of the migrations, and what the steps found besides. A run that only asks whether something
            is to do does without.
        sql: Whether the changes show their statements.
    """
    record = _last_run(run) if is_result else None  # before the steps: a run in between makes the plan stale, not wrong
    steps = run.executor.look(for_reader=is_result, sql=sql)
    return _plan_of(run, steps, record, is_result=is_result)


def _plan_of(run: Opened, steps: tuple[PlannedStep, ...], record: RunRecord | None, *, is_result: bool) -> Plan:
    server = run.session.server
    units = [entry.unit for entry in run.entries if isinstance(entry.unit, Step)] if is_result else []
    return Plan(
        name=run.project.name,
        environment=run.project.environment,
        inputs=run.project.inputs,
        database=DatabaseIdentity(
            run.address.server, server.database, server.version, server.system_identifier, server.oid
        ),
        serial=record.serial if record else None,
        steps=steps,
        heads=tuple(head for unit in units for head in unit.heads(run.project)),
    )


def _last_run(run: Opened) -> RunRecord | None:
    with run.session.read_only() as connection:
        return _readable(connection, run.project.ledger)
