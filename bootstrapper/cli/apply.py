"""`apply`: makes the changes."""

from __future__ import annotations

import click

from bootstrapper.cli import options
from bootstrapper.cli.applying import apply_all, follow_others
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.planning import show_plan
from bootstrapper.errors import ExitCode


@click.command()
@takes(
    *options.SELECTION,
    options.plan_format,
    *options.REPORTING,
    options.confirm,
    *options.RUNNING,
    click.option("--dry-run", is_flag=True, help="Shows the plan, and changes nothing."),
    click.option("--follow", is_flag=True, help="Takes no lock and writes nothing: waits until others are done."),
    click.option("--force", is_flag=True, help="Asks no check beforehand; never repeats rows or revisions."),
)
def apply(invocation: Invocation, *, dry_run: bool, follow: bool, force: bool) -> int:
    """Bring the database to the declared state (also: setup)."""
    if follow:
        others = {"--force": force, "--dry-run": dry_run, "--format": invocation.format}
        options.refuse_beside("--follow", others, "a follower makes no changes and shows no plan")
    if dry_run:
        return show_plan(invocation, "apply", force=force)
    if follow:
        return follow_others(invocation)
    apply_all(invocation, "apply", force=force)
    return ExitCode.DONE
