"""Reads the state of a database and the earlier runs in its ledger; writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from bootstrapper.api import standing
from bootstrapper.api.interruption import stoppable
from bootstrapper.api.planning import plan_of
from bootstrapper.api.standing import FixtureState, LastBackup, Position
from bootstrapper.dataclass import dataclass
from bootstrapper.engine.freeze import told
from bootstrapper.engine.masked_errors import mask_error
from bootstrapper.engine.open import opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import BackupError, BootstrapperError, UsageError
from bootstrapper.migrations.interrupted.invalid_objects import InvalidObject, find_invalid_objects
from bootstrapper.plans import Plan
from bootstrapper.postgres.health import Health, read_health
from bootstrapper.postgres.ledger import chain, frozen, ledger, rights
from bootstrapper.postgres.ledger.chain import Verdict
from bootstrapper.postgres.ledger.frozen import Freeze
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.records import RunHistory, find_runs, read_history
from bootstrapper.postgres.lock.acquire import Holder, read_holder

_MOST_CANDIDATES = 5


@dataclass(frozen=True)
class Status:
    """How things stand. `last_run` and `holder` are None where there is none, or the ledger cannot be read.

    Attributes:
        errors: Why some of it is unknown.
        knows_ledger: Whether the role may read the ledger.
        freeze: Why nothing is applied to the database; None if it is not frozen.
        last_backup: None without a backup step, or before its first backup.
        health: None if it was not asked for.
        invalid_objects: Invalid indexes and unvalidated constraints, if the health was asked for.
    """

    plan: Plan
    last_run: RunHistory | None
    holder: Holder | None
    errors: tuple[BootstrapperError, ...] = ()
    knows_ledger: bool = True
    freeze: Freeze | None = None
    revisions: tuple[Position, ...] = ()
    fixtures: tuple[FixtureState, ...] = ()
    last_backup: LastBackup | None = None
    health: Health | None = None
    invalid_objects: tuple[InvalidObject, ...] = ()


def status(request: Request, *, health: bool = False) -> Status:
    """The plan as far as it can be told, and what the ledger says of the last run and of the lock.

    Waits for nothing, and takes a standby as well as a primary.

    Args:
        health: Whether to read the health of the database too.
    """
    fares, invalid = None, []
    with stoppable(request.stop), opened(request, "status", writes=False) as run:
        run.session.open()
        with run.session.read_only() as connection:
            refused = rights.refusal(connection, run.project.ledger, run.session.target.where)
            holder = read_holder(connection, run.project.ledger)
            last = _last_of_all(connection, run.project.ledger)
            freeze = frozen.read(connection, run.project.ledger)
            revisions = standing.positions(run, connection)
            if health:
                fares = read_health(connection)
                invalid = find_invalid_objects(connection, run.project.ledger)
        steps, found = run.looker.look_at_what_can_be()
        planned = plan_of(run, run.session.server, steps, last, is_result=True)
        fixtures, backup = standing.fixtures(run, steps), None
        try:
            backup = standing.last_backup(run)
        except BackupError as failure:
            found.append(failure)
    found += [refused] if refused is not None else []
    for error in found:
        mask_error(error, request.masker)
    held = holder if holder.run_id is not None else None
    knows = refused is None
    stands = (freeze, revisions, fixtures, backup, fares, tuple(invalid))
    return Status(planned, last, held, tuple(found), knows, *stands)


def history(request: Request, most: int) -> list[RunHistory] | None:
    """The latest runs with their steps and revisions, newest first; None without a ledger.

    Raises RefusedError where the role may not read it.
    """
    with _reading_ledger(request) as (connection, names):
        try:
            return read_history(connection, names, most)
        except ledger.UNREADABLE:
            return None


def past_run(request: Request, text: str) -> RunHistory:
    """One run, by its number, its id, or the beginning or end of it.

    Raises UsageError unless exactly one run is meant, RefusedError where the role may not read the ledger.
    """
    with _reading_ledger(request) as (connection, names):
        try:
            found = find_runs(connection, names, text)
            if len(found) == 1:
                return read_history(connection, names, 1, found[0])[0]
        except ledger.UNREADABLE:
            found = []
    if found:
        ids = [str(run_id) for run_id in found[:_MOST_CANDIDATES]]
        more = [f"and {len(found) - len(ids)} more"] if len(found) > len(ids) else []
        raise UsageError(f"{text!r} may be any of {len(found)} runs", details=[*ids, *more], hint="Give more digits.")
    raise UsageError(f"no run {text!r} in the ledger", hint="List the runs with `bootstrapper history`.")


def verify_history(request: Request) -> Verdict | None:
    """What following the hashes of the ledger's steps finds; None without a ledger.

    Raises RefusedError where the role may not read it.
    """
    with _reading_ledger(request) as (connection, names):
        try:
            return chain.verify(connection, names)
        except ledger.UNREADABLE:
            return None


@contextmanager
def _reading_ledger(request: Request) -> Iterator[tuple[Connection[Any], LedgerNames]]:
    """Opens the database for a command that only reads the ledger; raises RefusedError where the role may not."""
    with opened(request, "history", writes=False) as run:
        run.executor.open_gates()
        with run.session.read_only() as connection:
            rights.require(connection, run.project.ledger, run.session.target.where)
            freeze = frozen.read(connection, run.project.ledger)
            if freeze is not None:
                request.tell(told(run.session, freeze))
            yield connection, run.project.ledger


def _last_of_all(connection: Connection[Any], names: LedgerNames) -> RunHistory | None:
    try:
        with connection.transaction():
            return next(iter(read_history(connection, names, 1)), None)
    except ledger.UNREADABLE:
        return None
