"""The command `reset`: drops what the migrations built, their version tables and the ledger, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection, errors

from bootstrapper.api import single_step
from bootstrapper.api.built_schema import AppliedHistory, applied_histories, ask_built, require_scratch_possible
from bootstrapper.api.interruption import stoppable
from bootstrapper.api.run_end import run_end
from bootstrapper.dataclass import dataclass
from bootstrapper.engine import freeze, identity, lock_waits
from bootstrapper.engine.open import Opened, opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import (
    BootstrapperError,
    FrozenError,
    GuardError,
    RefusedError,
    StepFailedError,
    UnreachableError,
)
from bootstrapper.migrations.history.versions import read_versions
from bootstrapper.migrations.schema.objects import DatabaseObject, identities, quoted_name, read_objects, row_counts
from bootstrapper.migrations.schema.removal import Removal, lock_tables, plan_removal, remove
from bootstrapper.plans import Action, Change, Finding, Plan, PlannedStep, State
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.server_messages import said
from bootstrapper.postgres.ledger import ledger, records
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.table_names import DEFAULT_SCHEMA, TABLES
from bootstrapper.text import listed

_STEP = "reset"
_NOTHING = "nothing was dropped"
_MOST_SHOWN = 20
_AGAIN = "Run the command again, and look at what it shows."


@dataclass(frozen=True)
class Owned:
    """What is dropped.

    Attributes:
        built: The objects that the applied revisions build, by kind and identity.
        histories: Their steps, with the revisions that the database is at.
    """

    built: frozenset[str]
    histories: tuple[AppliedHistory, ...]

    @property
    def revisions(self) -> tuple[str, ...]:
        return tuple(row for history in self.histories for row in history.versions.rows)


@dataclass(frozen=True)
class Preview:
    """What `reset` would drop.

    Attributes:
        objects: Kind and identity of each object besides the ledger's.
    """

    plan: Plan
    owned: Owned
    objects: frozenset[str]


@dataclass(frozen=True)
class _Found:
    """The objects to drop, as they are in the database now."""

    removal: Removal
    of_ledger: frozenset[DatabaseObject]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(each.name for each in self.removal.objects if each not in self.of_ledger)


def preview(request: Request) -> Preview:
    """Builds the applied revisions in a scratch database, and finds their objects in this one. Changes nothing.

    Raises:
        AheadError: The database is at a revision that the project does not have.
        FrozenError: The database is frozen.
        GuardError: Other objects depend on those that would be dropped, or the connection leads through a pooler.
        MigrationError: The role may not create databases, or a revision failed there.
    """
    with stoppable(request.stop), opened(request, _STEP, writes=False) as run, single_step.translated(run):
        run.executor.open_gates()
        require_scratch_possible(run, _STEP)
        frozen = freeze.freeze_of(run.session, run.project)
        if frozen is not None:
            raise FrozenError(run.session.server.database, str(frozen))
        for warning in identity.expected(run.session, run.project, is_pending=True):
            request.tell(warning)
        with run.session.read_only():
            histories = applied_histories(run)
        built: frozenset[str] = frozenset()
        if any(history.versions.rows for history in histories):
            built = ask_built(request, run, histories, _built)
        owned = Owned(built, histories)
        with run.session.read_only() as connection:
            found = _find(connection, run.project.ledger, owned)
            _require_no_obstacle(found, run)
            step = _planned(connection, run, owned, found)
        return Preview(single_step.plan_with(run, step), owned, found.names)


def reset(request: Request, shown: Preview) -> None:
    """Drops exactly what the preview showed, under the lock; all in one transaction, or nothing.

    Raises:
        GuardError: Something moved since the preview, or another object depends on one that would be dropped.
        BlockedError: A lock of another session was not free in time.
    """
    planned = shown.plan.steps[0]
    with (
        run_end(request) as end,
        stoppable(request.stop),
        opened(end.request, _STEP, writes=True) as run,
    ):
        run.executor.open_gates()
        run.session.require_direct(_STEP)
        _require_confirmed(request, run, shown)
        with (
            run.executor.alone(_STEP, ignores_freeze=False) as context,
            single_step.step_events(context, planned),
        ):
            _require_confirmed(request, run, shown, context)
            hold = context.require_hold()
            with _translated(context), hold.transaction(context.deadline) as connection:
                removal = _agreed(connection, run, shown)
                with hold.lent():  # event triggers of the project may run
                    remove(connection, removal)
            end.applied = [planned]
            hold.hand_over()  # no ledger is left to record the end in


def _require_confirmed(request: Request, run: Opened, shown: Preview, context: RunContext | None = None) -> None:
    """Raises if the connection, which may be a new one, leads to another database than the confirmed one."""
    single_step.require_same(run, shown.plan, _NOTHING)
    besides = context.run_id if context is not None else None
    identity.require_own_environment(run.session, run.project, request.confirmed, besides=besides)


def _agreed(connection: Connection[Any], run: Opened, shown: Preview) -> Removal:
    """Locks the tables, and returns how to drop exactly what was shown."""
    names = run.project.ledger
    lock_tables(connection, _find(connection, names, shown.owned).removal.objects)
    found = _find(connection, names, shown.owned)  # from now on, no table gets a partition or a foreign key
    _require_no_obstacle(found, run)
    for history in shown.owned.histories:
        if read_versions(connection, history.settings).rows != history.versions.rows:
            raise GuardError(f"the database is not at the revision any more that was shown; {_NOTHING}", hint=_AGAIN)
    moved = sorted(found.names ^ shown.objects)
    if moved:
        raise GuardError(f"not as it was shown: {listed(moved[:_MOST_SHOWN])}; {_NOTHING}", hint=_AGAIN)
    return found.removal


def _built(made: Connection[Any], creates_extensions: bool) -> frozenset[str]:
    """Returns what the revisions built. Extensions that they take as they find them are not theirs."""
    return frozenset(each.name for each in read_objects(made) if each.kind != "extension" or creates_extensions)


def _find(connection: Connection[Any], names: LedgerNames, owned: Owned) -> _Found:
    there = read_objects(connection)
    of_ledger = _of_ledger(connection, names, there)
    tables = [(each.versions.schema, each.settings.version_table) for each in owned.histories if each.versions.schema]
    theirs = owned.built | {f"table {table}" for table in identities(connection, tables)}
    if names.schema != DEFAULT_SCHEMA:  # an existing schema: in the scratch database the run created it for its ledger
        theirs -= {f"schema {quoted_name(connection, names.schema)}"}
    doomed: list[DatabaseObject] = []
    others: list[DatabaseObject] = []
    for each in there:
        (doomed if each in of_ledger or each.name in theirs else others).append(each)
    return _Found(plan_removal(connection, doomed, others), of_ledger)


def _of_ledger(
    connection: Connection[Any], names: LedgerNames, there: Sequence[DatabaseObject]
) -> frozenset[DatabaseObject]:
    """Returns the tables of the ledger, and its schema if it is one of our own."""
    if not ledger.exists(connection, names):
        return frozenset()
    tables = identities(connection, [(names.schema, names.table_name(name)) for name in TABLES])
    ours = {f"table {table}" for table in tables} | ({f"schema {DEFAULT_SCHEMA}"} & {f"schema {names.schema}"})
    return frozenset(each for each in there if each.name in ours)


def _require_no_obstacle(found: _Found, run: Opened) -> None:
    obstacles = found.removal.obstacles
    if not obstacles:
        return
    more = [f"and {len(obstacles) - _MOST_SHOWN} more"] if len(obstacles) > _MOST_SHOWN else []
    raise GuardError(
        f"{run.project.target.where} has other objects that depend on those to drop; {_NOTHING}",
        details=[*obstacles[:_MOST_SHOWN], *more],
        hint="Drop or detach those other objects, then run the command again.",
    )


def _planned(connection: Connection[Any], run: Opened, owned: Owned, found: _Found) -> PlannedStep:
    removal = found.removal
    if not removal.objects:
        return PlannedStep(_STEP, _STEP, State.DONE, reason="no ledger, and no revision that is applied")
    rows = row_counts(connection, removal.objects)
    groups = [("ledger" if each in found.of_ledger else each.kind, each) for each in removal.objects]
    changes = tuple(
        Change(Action.DELETE, each.name, rows.get(each.oid, ""), origin=group)
        for group, each in sorted(groups, key=lambda pair: (pair[0] == "ledger", pair[0], pair[1].identity))
    )
    reason = f"what revision {listed(owned.revisions)} builds" if owned.revisions else "no revision is applied"
    findings = tuple(_findings(connection, run, removal))
    return PlannedStep(_STEP, _STEP, State.PENDING, f"{reason}, and the ledger", changes=changes, findings=findings)


def _findings(connection: Connection[Any], run: Opened, removal: Removal) -> Iterator[Finding]:
    for schema in removal.kept:
        yield Finding(schema.name, "stays, since other objects are in it")
    others = records.other_projects(connection, run.project.ledger, run.project.name)
    if others:
        told = f"also records runs of {listed(others)}, which are dropped with it"
        yield Finding("ledger", told, "Give each project a ledger of its own: `ledger: {schema: NAME}`.")
    database = f"database {run.session.server.database}"
    yield Finding(database, "no backup is taken", "Take one: `bootstrapper backup`.")


@contextmanager
def _translated(context: RunContext) -> Iterator[None]:
    """Reports the sessions that block the work, and turns errors of psycopg into those of ours."""
    with lock_waits.watched(context, lambda: _STEP) as watch:
        try:
            yield
        except psycopg.Error as error:
            raise lock_waits.judged(_as_ours(error, context), _STEP, watch, context.deadline) from error


def _as_ours(error: psycopg.Error, context: RunContext) -> BootstrapperError:
    where = context.project.target.where
    if isinstance(error, errors.DependentObjectsStillExist):
        detail = (error.diag.message_detail or "").splitlines()
        return GuardError(f"{said(error)}; {_NOTHING}", details=detail, hint=_AGAIN)
    if isinstance(error, errors.InsufficientPrivilege):
        hint = "Run it as the role that owns these objects, as the migrations were."
        return RefusedError(where, f"{said(error)}; {_NOTHING}", sqlstate=error.sqlstate, hint=hint)
    if context.session.is_open:
        too_many = "Raise max_locks_per_transaction of the server: each object takes a lock."
        hint = too_many if isinstance(error, errors.OutOfMemory) else ""
        return StepFailedError(f"{said(error)}; {_NOTHING}", sqlstate=error.sqlstate, hint=hint or None)
    return UnreachableError(where, f"the connection was lost: {said(error)}; {_NOTHING}", sqlstate=error.sqlstate)
