"""`upgrade`, `downgrade`, `stamp`, `revision`: the commands of Alembic, under the lock and in the worker."""

from __future__ import annotations

import re
from dataclasses import replace

import click

from bootstrapper.api import run
from bootstrapper.api.repeated import once
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.apply import apply_asked, apply_or_show
from bootstrapper.cli.confirmation import Consent
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data
from bootstrapper.cli.plan import make_plan
from bootstrapper.cli.reporter import Reporter
from bootstrapper.errors import ExitCode, UsageError
from bootstrapper.migrations.commands import operations
from bootstrapper.migrations.commands.new_revision import Written
from bootstrapper.migrations.commands.operations import Operation
from bootstrapper.migrations.commands.relative import RELATIVE
from bootstrapper.plans import Plan
from bootstrapper.text import counted

_TYPES = ("migrate",)
_SHARED = (
    *options.WHERE,
    options.step,
    options.timeout,
    options.outcome_format,
    options.full,
    *options.REPORTING,
    options.confirm,
    *options.RUNNING,
    options.dry_run,
)
_NAME = re.compile(r"\w[\w.]{0,31}")
_NEGATIVE = {"ignore_unknown_options": True}  # -1 is a target, not an option


@click.command(context_settings=_NEGATIVE)
@click.argument("target", required=False, callback=options.refuse_empty)
@takes(*_SHARED, options.allow)
def upgrade(invocation: Invocation, *, target: str | None, dry_run: bool) -> int:
    """Apply the revisions up to TARGET.

    TARGET is head, heads, a revision, label@head or +N; by default the target in the file.
    """
    operation = operations.upgrade(None if target is None else _absolute(invocation, target))
    nothing = f"nothing to do: {target or 'the target'} is already reached"
    return _run(invocation, "upgrade", operation, dry_run=dry_run, nothing=nothing)


@click.command(context_settings=_NEGATIVE)
@click.argument("target", callback=options.refuse_empty)
@takes(*_SHARED, options.allow, options.yes)
def downgrade(invocation: Invocation, *, target: str, dry_run: bool, yes: bool) -> int:
    """Revert the revisions above TARGET.

    TARGET is a revision, base or -N. Shows what is dropped, then asks. A protected environment requires the name of the
    database, typed or given with --confirm.
    """
    target = _absolute(invocation, target)
    with Reporter(invocation, "downgrade") as reporter:
        asked = request(invocation, once(reporter.emit), types=_TYPES, operation=operations.downgrade(target), sql=True)
        shown = make_plan(invocation, reporter, asked)
        if dry_run or not shown.pending:
            return ExitCode.DONE
        run.require_allowed(shown)
        database = shown.database.database
        question = f"Revert {counted(len(_revisions(shown)), 'revision')} of database {database}?"
        Consent(yes, invocation.confirm).require(invocation, question, database, "nothing was reverted")
        agreed = operations.downgrade(target, _revisions(shown))
        apply_asked(invocation, reporter, replace(asked, operation=agreed, sql=False))
    return ExitCode.DONE


@click.command()
@click.argument("target", callback=options.refuse_empty)
@takes(*_SHARED)
def stamp(invocation: Invocation, *, target: str, dry_run: bool) -> int:
    """Record TARGET as the revision of the database, and run nothing.

    TARGET is base, head, heads or a revision.
    """
    nothing = f"nothing to do: the database is already stamped {target}"
    return _run(invocation, "stamp", operations.stamp(target), dry_run=dry_run, nothing=nothing)


def _name(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Refuses what Alembic would store but later read as several names, such as a name with a blank."""
    if text is not None and not _NAME.fullmatch(text):
        raise click.BadParameter(
            "must be one name of up to 32 letters, digits, underscores and dots", context, parameter
        )
    return text


@click.command()
@click.argument("message")
@takes(
    *_SHARED,
    click.option("--autogenerate", is_flag=True, help="Generate its operations by comparing models and database."),
    click.option("--head", metavar="PARENT", default="head", show_default=True, help="Parent revision, or base."),
    click.option("--splice", is_flag=True, help="Allow a parent that is not a head."),
    click.option("--branch-label", metavar="LABEL", callback=_name, help="Label of the branch that begins here."),
    click.option("--depends-on", metavar="REVISION", multiple=True, help="Revision that it depends on; repeatable."),
    click.option("--rev-id", metavar="ID", callback=_name, help="Identifier, instead of a random one."),
    click.option("--version-path", metavar="FOLDER", help="Version folder of the file, if there are several."),
)
def revision(invocation: Invocation, *, message: str, dry_run: bool, **given: object) -> int:
    """Write a new revision file (alias: migration)."""
    arguments = {"message": message, **given, "depends_on": list(given["depends_on"]) or None}  # type: ignore[call-overload]
    written = Written()
    code = _run(invocation, "revision", operations.revision(arguments, written), dry_run=dry_run, nothing=None)
    for path in written.files or ():
        print_data(str(path))
    return code


def _run(invocation: Invocation, command: str, operation: Operation, *, dry_run: bool, nothing: str | None) -> int:
    return apply_or_show(
        invocation, command, dry_run=dry_run, nothing=nothing, types=_TYPES, operation=operation, sql=dry_run
    )


def _revisions(plan: Plan) -> list[str]:
    """Returns the ids of the revisions that a plan of `downgrade` shows; a plan carries no payloads."""
    return [change.target.removeprefix("revision ") for step in plan.steps for change in step.changes]


def _absolute(invocation: Invocation, target: str) -> str:
    if target.startswith("-") and not RELATIVE.fullmatch(target):
        raise UsageError(f"unknown option {target!r}", hint="Write a relative target as -1, -2 and so on.")
    return run.relative_target(request(invocation, types=_TYPES), target)
