"""What `restore` and `backups` do; data in, data out, as in api."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from bootstrapper.backups.catalogue import Backup
from bootstrapper.backups.restore import choosing, describing, kept, maintenance, verifying
from bootstrapper.backups.restore.beside import Beside, require_may
from bootstrapper.backups.restore.choosing import Chosen, Wanted
from bootstrapper.backups.restore.inplace import InPlace, require_archive
from bootstrapper.backups.restore.proving import prove
from bootstrapper.backups.restore.reading import Reader
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BootstrapperError, StepFailedError, UnreachableError, UsageError
from bootstrapper.events import RunFinished, StepApplied, StepFailed, StepStarted, Warned
from bootstrapper.opening import Opened, Request, opened, resolve
from bootstrapper.plan import DatabaseIdentity, Plan, PlannedStep
from bootstrapper.step import Context

__all__ = [
    "Chosen",
    "Restored",
    "Verified",
    "Wanted",
    "drop_kept",
    "kept_databases",
    "listed",
    "preview",
    "restore",
    "verify",
]

_STEP = "restore"


@dataclass(frozen=True)
class Restored:
    """How a restore ended.

    Attributes:
        kept: The name under which the old database is kept, or the path of the backup that was taken of it.
    """

    kept: str
    seconds: float


@dataclass(frozen=True)
class Verified:
    """A backup that is good. `restored` is None where it was only read."""

    backup: Path
    has_manifest: bool
    restored: verifying.Restored | None


def preview(request: Request, wanted: Wanted, *, in_place: bool) -> tuple[Plan, Chosen]:
    """What would be replaced by what; the dump is proved first. Changes nothing."""
    with opened(request, _STEP, writes=False) as run, _explained(run):
        chosen = _ready(request, run, wanted, in_place=in_place)
        with run.session.read_only() as connection:
            step = describing.describe(connection, run.session.server, chosen, in_place=in_place)
        return _plan(run, step), chosen


def restore(
    request: Request, chosen: Chosen, planned: PlannedStep, *, in_place: bool, terminate: bool, jobs: int
) -> Restored:
    """Replaces the database by what the dump holds, under the lock. Raises leaves of BootstrapperError."""
    started = time.monotonic()
    outcome = "failed"
    try:
        with opened(request, _STEP, writes=True) as run:
            run.executor.open_gates()
            require_direct(run)
            with run.executor.alone(_STEP) as context, _told(context, planned), _explained(run):
                changes = list(planned.changes)
                reader = _reader(request, run, chosen)
                if in_place:
                    name = str(InPlace(context, reader, changes, terminate).run())
                else:
                    name = Beside(context, reader, changes, terminate, jobs).run()
        outcome = "done"
        return Restored(name, time.monotonic() - started)
    except (BootstrapperError, KeyboardInterrupt) as error:
        is_signal = isinstance(error, KeyboardInterrupt) or error.exit_code >= 130
        outcome = "interrupted" if is_signal else "failed"
        raise
    finally:
        request.emit(RunFinished(outcome, time.monotonic() - started, int(outcome == "done")))


def kept_databases(request: Request) -> tuple[str, Mapping[str, int]]:
    """The database's name, and what earlier restores put aside of it, with sizes in bytes."""
    with opened(request, _STEP, writes=False) as run, _explained(run):
        run.executor.open_gates()
        name = run.session.server.database
        with maintenance.outside(run.project.target, name, run.deadline) as connection:
            return name, kept.kept(connection, name)


def drop_kept(request: Request, names: list[str]) -> None:
    """Drops databases that `kept_databases` named."""
    with opened(request, _STEP, writes=True) as run, _explained(run):
        run.executor.open_gates()
        target, name = run.project.target, run.session.server.database
        with maintenance.outside(target, name, run.deadline) as connection:
            there = kept.kept(connection, name)
            for each in names:
                if each in there:
                    kept.drop(connection, each, target.where)


def listed(request: Request) -> list[Backup]:
    """The backups in the folders of the file's backup steps, newest first; connects to nothing."""
    return choosing.listed(resolve(request, "backups list", connects=False).project)


def verify(request: Request, path: Path, *, needs_manifest: bool, by_restoring: bool) -> Verified:
    """Reads a dump to its end, and restores it somewhere else if asked to. Reading needs no bootstrap.yaml."""
    chosen = choosing.of_file(path, needs_manifest=needs_manifest)
    deadline = Deadline.after(request.timeout_seconds)
    reader = Reader(chosen=chosen, variables=request.variables, deadline=deadline, mask=request.masker.mask)
    prove(reader)
    restored = _restored_elsewhere(request, reader) if by_restoring else None
    return Verified(chosen.path, chosen.manifest is not None, restored)


def _restored_elsewhere(request: Request, reader: Reader) -> verifying.Restored:
    """On an embedded server of its own where there is one for this dump, else on the configured server."""
    manifest = reader.chosen.manifest
    if verifying.has_own_server(int(manifest.server_version.partition(".")[0]) if manifest else 0):
        with verifying.own_server() as target:
            request.masker.learn(target.password)
            return verifying.verify(reader, target, is_own=True)
    with opened(request, "backups verify", writes=False) as run, _explained(run):
        run.executor.open_gates()
        require_direct(run)
        with verifying.borrowed_server(run.project.target, run.deadline) as target:
            return verifying.verify(reader, target, is_own=False)


def _ready(request: Request, run: Opened, wanted: Wanted, *, in_place: bool) -> Chosen:
    """The chosen dump, found good, and everything that would be in the way asked about."""
    run.executor.open_gates()
    require_direct(run)
    server, project = run.session.server, run.project
    chosen = choosing.choose(project, server, wanted)
    if chosen.manifest is None:
        request.emit(Warned(f"{chosen.path} has no manifest: only that it can be read is known of it"))
    if in_place:
        require_archive(chosen)
    else:
        with maintenance.outside(project.target, server.database, run.deadline) as connection:
            require_may(connection, project.target.where, server.database)
    prove(_reader(request, run, chosen))
    return chosen


def _reader(request: Request, run: Opened, chosen: Chosen) -> Reader:
    return Reader(
        chosen=chosen,
        variables=run.project.variables,
        server_major=run.session.server.major,
        deadline=run.deadline,
        mask=request.masker.mask,
    )


def require_direct(run: Opened) -> None:
    """Raises UsageError behind a pooler, whose own connections would be in the way and whose sessions nobody owns."""
    if run.session.server.pooled:
        raise UsageError(
            f"{run.project.target.where} is a pooler; restoring needs the server itself",
            hint="Give the server's own address as direct_url.",
        )


@contextmanager
def _explained(run: Opened) -> Iterator[None]:
    """Turns what the server says unasked into an error of ours."""
    try:
        yield
    except psycopg.OperationalError as error:
        if error.sqlstate is not None and not error.sqlstate.startswith("57P"):
            raise StepFailedError(_said(error), sqlstate=error.sqlstate) from error
        raise UnreachableError(run.project.target.where, f"the connection was lost: {_said(error)}") from error
    except psycopg.Error as error:
        raise StepFailedError(_said(error), sqlstate=error.sqlstate) from error


def _said(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).partition("\n")[0]


@contextmanager
def _told(context: Context, planned: PlannedStep) -> Iterator[None]:
    """The events of a step around the work."""
    started = time.monotonic()
    context.emit(StepStarted(_STEP, _STEP, len(planned.changes)))
    try:
        yield
    except BootstrapperError as error:
        context.emit(StepFailed(_STEP, context.masker.mask(str(error)), time.monotonic() - started))
        raise
    context.emit(StepApplied(_STEP, replace(planned, findings=()), time.monotonic() - started))


def _plan(run: Opened, step: PlannedStep) -> Plan:
    server, project = run.session.server, run.project
    identity = DatabaseIdentity(
        run.address.server, server.database, server.version, server.system_identifier, server.oid
    )
    return Plan(project.name, project.environment, project.inputs, identity, None, (step,))
