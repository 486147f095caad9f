"""`migrate`, `seed`, `backup`: run only the steps of that type, with the wait and the lock of the file around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from bootstrapper.cli import options
from bootstrapper.cli.apply import apply_or_show
from bootstrapper.cli.options import Invocation, takes

_SHARED = (
    *options.SELECTION,
    options.outcome_format,
    options.full,
    *options.REPORTING,
    options.confirm,
    *options.RUNNING,
    options.dry_run,
)


@click.command()
@takes(*_SHARED, options.allow)
def migrate(invocation: Invocation, *, dry_run: bool) -> int:
    """Run only the migrations.

    Of the conditions under `when`, only `environment` is evaluated.
    """
    return _run(invocation, "migrate", dry_run=dry_run)


@click.command()
@takes(*_SHARED, options.allow)
def seed(invocation: Invocation, *, dry_run: bool) -> int:
    """Write only the declared rows.

    Of the conditions under `when`, only `environment` is evaluated.
    """
    return _run(invocation, "seed", dry_run=dry_run)


def _local_file(context: click.Context, parameter: click.Parameter, text: str | None) -> Path | None:
    if text is not None and "://" in text:
        message = "must be a local file; a remote place goes under `directory` of the backup step"
        raise click.BadParameter(message, context, parameter, "FILE")
    options.refuse_empty(context, parameter, text)
    return None if text is None else Path(text)


@click.command()
@click.argument("destination", metavar="[FILE]", required=False, type=click.Path(dir_okay=False), callback=_local_file)
@takes(*_SHARED)
def backup(invocation: Invocation, *, destination: Path | None, dry_run: bool) -> int:
    """Take a backup, regardless of `when` and `check` of its step.

    Without FILE, the name holds the date and `keep` applies to older backups. If FILE ends in .sql, it is plain SQL.
    """
    explicit: dict[str, object] = {"overwrite": True} if invocation.overwrite else {}
    if destination is not None:
        explicit["file"] = str(destination.absolute())
    return _run(invocation, "backup", explicit=explicit or None, dry_run=dry_run)


def _run(invocation: Invocation, command: str, *, explicit: Mapping[str, object] | None = None, dry_run: bool) -> int:
    nothing = f"nothing to do: no step of type {command} has changes"
    return apply_or_show(invocation, command, dry_run=dry_run, nothing=nothing, types=(command,), explicit=explicit)
