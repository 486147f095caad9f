"""`backups`: lists backups and verifies one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from bootstrapper.api import backups as api
from bootstrapper.api.backups import Listed, Verified, Wanted
from bootstrapper.backups.stores.store import Backup
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.groups import Group
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data, show_time
from bootstrapper.cli.reporter import Reporter
from bootstrapper.cli.restore import identity, no_manifest
from bootstrapper.config.units import show_size
from bootstrapper.errors import ExitCode
from bootstrapper.events import Warned
from bootstrapper.text import counted, dumps, one_line

_HEAD = ("file", "taken", "size", "revision", "run", "server", "state")
_RUN = 8


@click.group(cls=Group)
def backups() -> None:
    """List the backups, or verify one."""


@backups.command(name="list")
@takes(*options.WHERE, options.data_format, *options.PRINTING)
def list_(invocation: Invocation) -> int:
    """List the backups of the file's backup steps, newest first.

    RUN is the end of the run's id, for `restore --run`. A backup counts as verified if its dump has the length of the
    one that was read back after it was taken; `backups verify` reads it again. If BOOTSTRAPPER_PLAN_KEY is set, it must
    also be signed.
    """
    found = api.listed(request(invocation))
    print_data(_json(found) if invocation.format == "json" else _text(found))
    return ExitCode.DONE


@backups.command()
@click.argument("backup", metavar="FILE")
@takes(
    *options.WHERE,
    options.timeout,
    *options.PRINTING,
    click.option("--restore", is_flag=True, help="Restore it on a temporary server and count the rows."),
    identity,
    no_manifest,
)
def verify(invocation: Invocation, *, backup: str, restore: bool, identity: Path | None, no_manifest: bool) -> int:
    """Compare a backup with its checksum, and read it to its end."""
    with Reporter(invocation, "backups verify") as reporter:
        asked = request(invocation, reporter.emit)
        wanted = Wanted(file=backup, needs_manifest=not no_manifest, identity=identity)
        done = api.verify(asked, wanted, by_restoring=restore)
        for deviation in done.restored.deviations if done.restored is not None else ():
            reporter.emit(Warned(deviation, "Compare with the database: the statistics may have been stale."))
        reporter.say(_verdict(done))
    return ExitCode.DONE


def _verdict(done: Verified) -> str:
    checksum = "checksum matches, " if done.has_manifest else ""
    said = f"good: {done.backup.rpartition('/')[2]}: {checksum}readable to its end"
    if done.restored is None:
        return said
    tables, rows = len(done.restored.rows), sum(done.restored.rows.values())
    arrived = f"{counted(rows, 'row')} in {counted(tables, 'table')}"
    return f"{said}; restored on PostgreSQL {done.restored.server_version}: {arrived}"


def _text(found: list[Listed]) -> str:
    if not found:
        return "no backups"
    rows = [_HEAD, *map(_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(listed: Listed) -> tuple[str, ...]:
    backup, manifest = listed.backup, listed.backup.manifest
    revision = "unknown" if manifest.revision is None else ", ".join(manifest.revision) or "none"
    return (
        one_line(_shown(backup)),
        show_time(manifest.created_at),
        show_size(manifest.size),
        one_line(revision),
        manifest.run_id.hex[-_RUN:] if manifest.run_id else "-",
        one_line(f"{manifest.database} on {manifest.server_version}"),
        _state(listed),
    )


def _state(listed: Listed) -> str:
    if not listed.is_trusted:
        return "not signed"
    return "verified" if listed.backup.verified else "damaged"


def _shown(backup: Backup) -> str:
    """Returns the path, relative to the working directory if it is below it."""
    here = Path.cwd()
    return str(backup.path.relative_to(here)) if backup.path.is_relative_to(here) else backup.where


def _json(found: list[Listed]) -> str:
    return dumps([_item(each.backup, is_trusted=each.is_trusted) for each in found])


def _item(backup: Backup, *, is_trusted: bool) -> dict[str, object]:
    return {**asdict(backup.manifest), "file": backup.where, "verified": backup.verified and is_trusted}
