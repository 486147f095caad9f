"""`restore`: shows what a backup replaces, asks, and restores it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict, Unpack

import click

from bootstrapper.api import restore as restoring
from bootstrapper.api.repeated import once
from bootstrapper.api.restore import Chosen, Wanted
from bootstrapper.backups.stores.manifest import manifest_path
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.confirmation import Consent
from bootstrapper.cli.formats import print_formatted, renderer
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data
from bootstrapper.cli.reporter import Reporter
from bootstrapper.config.units import show_seconds, show_size
from bootstrapper.engine.request import Request
from bootstrapper.errors import ExitCode, UsageError
from bootstrapper.plans import Plan
from bootstrapper.text import counted

identity = click.option(
    "--identity",
    metavar="KEYFILE",
    type=click.Path(path_type=Path),
    help="Private key of an encrypted backup; by default that of the backup step.",
)
no_manifest = click.option("--no-manifest", is_flag=True, help="Accept FILE without a manifest to verify it with.")
_NOTHING = "nothing was restored"


class _How(TypedDict):
    in_place: bool
    terminate: bool
    jobs: int
    unfrozen: bool


@click.command()
@click.argument("backup", metavar="[FILE]", required=False)
@takes(
    *options.WHERE,
    options.timeout,
    options.plan_format,
    options.full,
    *options.REPORTING,
    *options.PRINTING,
    click.option("--run", metavar="ID", help="Restore the backup of this run: its id, or the end of it."),
    click.option("--latest", is_flag=True, help="Restore the newest verified backup of this database."),
    no_manifest,
    identity,
    click.option("--partial", is_flag=True, help="Accept a partial backup, which still replaces everything."),
    click.option("--in-place", is_flag=True, help="Restore into the existing database, in one transaction."),
    click.option("--terminate", is_flag=True, help="Terminate all other sessions of the database."),
    click.option(
        "--jobs",
        metavar="N",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Number of connections that restore in parallel.",
    ),
    click.option("--unfrozen", is_flag=True, help="Do not leave the database frozen if revisions would be run again."),
    click.option("--drop-old", is_flag=True, help="Drop the databases that earlier restores kept."),
    options.yes,
    options.confirm,
    click.option("--dry-run", is_flag=True, help="Show what would be replaced, and change nothing."),
)
def restore(
    invocation: Invocation,
    *,
    backup: str | None,
    run: str | None,
    latest: bool,
    no_manifest: bool,
    partial: bool,
    identity: Path | None,
    in_place: bool,
    terminate: bool,
    jobs: int,
    unfrozen: bool,
    drop_old: bool,
    yes: bool,
    dry_run: bool,
) -> int:
    """Restore a backup: FILE, that of a run, or the latest.

    Verifies the dump, then restores it into a new database, which finally takes the name of the old one. The old
    database is kept as DATABASE_before_RUN until `restore --drop-old`. Shows what is replaced, then asks. A protected
    environment requires the name of the database, typed or given with --confirm.

    If the backup lacks revisions of the files, the restored database is frozen, so that no run applies them until
    `unfreeze`.
    """
    consent = Consent(yes, invocation.confirm)
    if [backup is not None, run is not None, latest, drop_old].count(True) != 1:
        raise UsageError(
            "restore requires exactly one of FILE, --run, --latest and --drop-old",
            hint="Choose one; `bootstrapper backups list` lists the backups.",
        )
    if drop_old:
        about_dump = {"--no-manifest": no_manifest, "--identity": identity, "--partial": partial, "--jobs": jobs > 1}
        about_way = {"--in-place": in_place, "--terminate": terminate, "--unfrozen": unfrozen}
        others = {**about_dump, **about_way, "--format": invocation.format}
        options.refuse_beside("--drop-old", others, "nothing is restored")
        return _drop_old(invocation, consent, dry_run=dry_run)
    if backup is None:
        found_by = "--latest" if latest else "--run"
        options.refuse_beside(found_by, {"--no-manifest": no_manifest}, "backups are found by their manifests")
    if in_place:
        options.refuse_beside("--in-place", {"--jobs": jobs > 1}, "one transaction has one connection")
    wanted = Wanted(
        file=backup,
        run=run,
        latest=latest,
        needs_manifest=not no_manifest,
        partial=partial,
        identity=identity,
    )
    with Reporter(invocation, "restore", _inputs(backup, identity)) as reporter:
        asked = request(invocation, once(reporter.emit))
        how: _How = {"in_place": in_place, "terminate": terminate, "jobs": jobs, "unfrozen": unfrozen}
        with _shown(invocation, reporter, asked, wanted, **how) as (plan, chosen):
            if dry_run:
                return ExitCode.DONE
            database = plan.database.database
            consent.require(invocation, f"Replace database {database} with this backup?", database, _NOTHING)
            done = restoring.restore(asked, chosen, plan, **how)
        name = chosen.where.rpartition("/")[2]
        reporter.say(f"restored: database {database} from {name} in {show_seconds(done.seconds)}")
        reporter.say(_what_was_kept(invocation, done.kept, in_place=in_place))
    return ExitCode.DONE


def _inputs(backup: str | None, identity: Path | None) -> Iterator[Path]:
    if identity is not None:
        yield identity
    if backup is not None:
        yield Path(backup)
        yield manifest_path(Path(backup))
        with suppress(OSError):
            yield from Path(backup).iterdir()  # a dump in directory format


@contextmanager
def _shown(
    invocation: Invocation,
    reporter: Reporter,
    asked: Request,
    wanted: Wanted,
    **how: Unpack[_How],
) -> Iterator[tuple[Plan, Chosen]]:
    """Prints what would be replaced and yields it."""
    render = renderer(invocation, asked)
    with restoring.preview(asked, wanted, **how) as (plan, chosen):
        reporter.journal.plan = plan
        reporter.before_data()
        print_formatted(invocation, render.plan(plan))
        yield plan, chosen


def _what_was_kept(invocation: Invocation, kept: str, *, in_place: bool) -> str:
    if in_place:
        return f"the previous contents are in {kept}"
    return f"the old database is kept as {kept}; drop it with: bootstrapper restore --drop-old{invocation.again}"


def _drop_old(invocation: Invocation, consent: Consent, *, dry_run: bool) -> int:
    with Reporter(invocation, "restore --drop-old") as reporter:
        asked = request(invocation, once(reporter.emit))
        database, found = restoring.kept_databases(asked)
        reporter.before_data()
        for name, size in found.items():
            print_data(f"- database {name} ({show_size(size)})")
        if not found:
            reporter.say(f"nothing to drop: no database was kept by a restore of {database}")
        if dry_run or not found:
            return ExitCode.DONE
        kept = f"{counted(len(found), 'database')} that restores of {database} kept"
        name = next(iter(found)) if len(found) == 1 else database
        consent.require(invocation, f"Drop {kept} permanently?", name, "nothing was dropped")
        restoring.drop_kept(asked, list(found))
        reporter.say(f"dropped: {', '.join(found)}")
    return ExitCode.DONE
