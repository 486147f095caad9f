"""`migrate`, `seed`, `backup`: run only the steps of that type, with the wait and the lock of the file around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from bootstrapper.cli import options
from bootstrapper.cli.apply import apply_all
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.plan import show_plan
from bootstrapper.errors import ExitCode

_SHARED = (*options.SELECTION, options.plan_format, *options.REPORTING, options.confirm, *options.RUNNING)
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Show the plan, and change nothing.")


@click.command()
@takes(*_SHARED, _DRY_RUN)
def migrate(invocation: Invocation, *, dry_run: bool) -> int:
    """Run only the migrations.

    Of the conditions under `when`, only `environment` is evaluated.
    """
    return _run(invocation, "migrate", dry_run=dry_run)


@click.command()
@takes(*_SHARED, _DRY_RUN)
def seed(invocation: Invocation, *, dry_run: bool) -> int:
    """Write only the declared rows.

    Of the conditions under `when`, only `environment` is evaluated.
    """
    return _run(invocation, "seed", dry_run=dry_run)


def _local_file(context: click.Context, parameter: click.Parameter, text: str | None) -> Path | None:
    if text is None:
        return None
    if "://" in text:
        message = "must be a local file; a remote place goes under `directory` of the backup step"
        raise click.BadParameter(message, context, parameter, "FILE")
    if not text:
        raise click.BadParameter("must not be empty", context, parameter, "FILE")
    return Path(text)


@click.command()
@click.argument("destination", metavar="[FILE]", required=False, type=click.Path(dir_okay=False), callback=_local_file)
@takes(*_SHARED, _DRY_RUN)
def backup(invocation: Invocation, *, destination: Path | None, dry_run: bool) -> int:
    """Take a backup, regardless of `when` and `check` of its step.

    Without FILE, the name holds the date and `keep` applies to older backups. If FILE ends in .sql, it is plain SQL.
    """
    explicit: dict[str, object] = {"overwrite": True} if invocation.overwrite else {}
    if destination is not None:
        explicit["file"] = str(destination.absolute())
    return _run(invocation, "backup", explicit=explicit or None, dry_run=dry_run)


def _run(invocation: Invocation, command: str, *, explicit: Mapping[str, object] | None = None, dry_run: bool) -> int:
    if dry_run:
        return show_plan(invocation, command, types=(command,), explicit=explicit)
    nothing = f"nothing to do: no step of type {command} has changes"
    apply_all(invocation, command, types=(command,), explicit=explicit, nothing=nothing)
    return ExitCode.DONE
