"""The command `restore`: plans and performs restores, drops the databases that they kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bootstrapper.api import single_step
from bootstrapper.api.run_end import run_end
from bootstrapper.api.single_step import translated
from bootstrapper.backups.restore import (
    choose,
    fetch,
    maintenance_database,
    privileges,
    replayed,
    restore_plan,
    restored_ledger,
    swap,
)
from bootstrapper.backups.restore.choose import Chosen, Wanted
from bootstrapper.backups.restore.dump_reader import DumpReader, verified
from bootstrapper.backups.restore.fingerprint import require_unbroken
from bootstrapper.backups.restore.in_place import InPlace, require_archive
from bootstrapper.backups.restore.new_database import NewDatabase
from bootstrapper.dataclass import dataclass
from bootstrapper.engine import identity as guarding
from bootstrapper.engine.open import Opened, opened
from bootstrapper.engine.request import Request
from bootstrapper.events import Warned
from bootstrapper.plans import Plan
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.text import one_line

__all__ = [
    "Chosen",
    "Restored",
    "Wanted",
    "drop_kept",
    "kept_databases",
    "preview",
    "restore",
]

_STEP = "restore"


@dataclass(frozen=True)
class Restored:
    """How a restore ended.

    Attributes:
        kept: The name under which the old database is kept, or the backup that an in-place restore took of it.
    """

    kept: str
    seconds: float


@contextmanager
def preview(
    request: Request,
    wanted: Wanted,
    *,
    in_place: bool,
    terminate: bool = False,
    jobs: int = 1,
    unfrozen: bool = False,
) -> Iterator[tuple[Plan, Chosen]]:
    """Yields the plan and the verified dump, which is available within the context. Changes nothing.

    Args:
        unfrozen: Whether the database is not left frozen, even if the next run would apply revisions again.

    Raises if the role lacks a privilege that the restore needs.
    """
    with ExitStack() as stack:
        with opened(request, _STEP, writes=False) as run, translated(run):
            run.executor.open_gates()
            run.session.require_direct("restore")
            privileges.require_all(run.session, run.project, run.deadline, in_place=in_place, terminate=terminate)
            chosen = stack.enter_context(_ready(request, run, wanted, in_place=in_place, jobs=jobs))
            later = replayed.replayed(run.looker.context(run.entries[0]), chosen)
            freezes = not unfrozen and later != ()
            with run.looker.reading(_STEP) as connection:
                at, names = run.session.server, run.project.ledger
                step = restore_plan.describe(
                    connection, at, names, chosen, in_place=in_place, later=later, freezes=freezes
                )
            plan = single_step.plan_with(run, step)
        yield plan, chosen


def restore(
    request: Request,
    chosen: Chosen,
    plan: Plan,
    *,
    in_place: bool,
    terminate: bool,
    jobs: int,
    unfrozen: bool = False,
) -> Restored:
    """Replaces the database by the content of the dump, under the lock. Raises leaves of BootstrapperError.

    Args:
        plan: The confirmed plan of `preview`; no other database than the one in it is replaced.
        unfrozen: Whether the database is not left frozen, even if the next run would apply revisions again.
    """
    started, planned = time.monotonic(), plan.steps[0]
    with run_end(request) as end:
        with opened(end.request, _STEP, writes=True) as run:
            run.executor.open_gates()
            guarding.require_own_environment(run.session, run.project, request.confirmed)
            run.session.require_direct("restore")
            single_step.require_same(run, plan, "nothing was restored")
            if chosen.seal is not None:
                require_unbroken(chosen.path, chosen.where, chosen.seal)
            with run.executor.alone(_STEP) as context, single_step.step_events(context, planned), translated(run):
                changes = list(planned.changes)
                restored_ledger.note_origin(context.require_hold(), restore_plan.origin(chosen, changes[0]))
                reader = _reader(request, run, chosen)
                freezes = None if unfrozen else _why_frozen(context, chosen)
                if in_place:
                    name = InPlace(context, reader, changes, terminate, freezes).run()
                else:
                    name = NewDatabase(context, reader, changes, terminate, jobs, freezes).run()
        end.applied = [planned]
        for finding in planned.findings:
            if finding.target == restore_plan.LATER_REVISIONS:
                end.request.tell(Warned(finding.message, finding.remedy))
    return Restored(name, time.monotonic() - started)


def _why_frozen(context: RunContext, chosen: Chosen) -> str | None:
    """Returns why the restored database is left frozen; None if the next run finds no revision to apply."""
    later = replayed.replayed(context, chosen)
    if later == ():
        return None
    run_id, name = context.require_hold().fence.run_id, chosen.where.rpartition("/")[2]
    return one_line(context.masker.mask(f"restored from {name} by run {run_id}; {replayed.told(later)}"))


def kept_databases(request: Request) -> tuple[str, Mapping[str, int]]:
    """Returns the database's name, and the databases that earlier restores kept, with sizes in bytes."""
    with opened(request, _STEP, writes=False) as run, translated(run):
        run.executor.open_gates()
        name = run.session.server.database
        with maintenance_database.outside(run.project.target, name, run.deadline) as connection:
            return name, swap.kept(connection, name)


def drop_kept(request: Request, names: list[str]) -> None:
    """Drops databases that `kept_databases` returned."""
    with opened(request, _STEP, writes=True) as run, translated(run):
        run.executor.open_gates()
        target, name = run.project.target, run.session.server.database
        with maintenance_database.outside(target, name, run.deadline) as connection:
            there = swap.kept(connection, name)
            for each in names:
                if each in there:
                    swap.drop(connection, each, target.where)


def given_key(wanted: Wanted) -> list[Path]:
    return [wanted.identity] if wanted.identity is not None else []


def keys_of(project: Project, wanted: Wanted) -> list[Path]:
    """Returns the files of private keys: the given one, else those of the file's backup steps."""
    encryptions = [each.encrypt for each in choose.backup_settings(project)]
    own = [each.identity_file for each in encryptions if each is not None and each.identity_file is not None]
    return given_key(wanted) or [project.path(text) for text in dict.fromkeys(own)]


@contextmanager
def _ready(request: Request, run: Opened, wanted: Wanted, *, in_place: bool, jobs: int) -> Iterator[Chosen]:
    """Yields the chosen dump after it has been verified."""
    server, project = run.session.server, run.project
    found = choose.choose(project, server, wanted, request.masker)
    if found.manifest is None:
        request.tell(Warned(f"{found.where} has no manifest; only its readability is verified"))
    with fetch.fetched(found, keys_of(project, wanted), run.deadline) as chosen:
        if in_place or jobs > 1:
            require_archive(chosen, "--in-place" if in_place else "--jobs")
        yield verified(_reader(request, run, chosen)).chosen


def _reader(request: Request, run: Opened, chosen: Chosen) -> DumpReader:
    return DumpReader(
        chosen=chosen,
        variables=run.project.variables,
        folders=choose.program_folders(run.project),
        server_major=run.session.server.major,
        deadline=run.deadline,
        mask=request.masker.quote,
    )
