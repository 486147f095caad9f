"""`plan`: what would be done, down to the row; changes nothing."""

from __future__ import annotations

import click

from bootstrapper.cli import options
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.planning import show_plan
from bootstrapper.errors import ExitCode


@click.command()
@takes(
    *options.SELECTION,
    options.plan_format,
    *options.REPORTING,
    *options.RUNNING,
    click.option("--sql", is_flag=True, help="Also shows the SQL of each revision and what it locks; runs env.py."),
    click.option("--exit-code", is_flag=True, help="Answers 4 where changes are pending, 0 where none are."),
)
def plan(invocation: Invocation, *, sql: bool, exit_code: bool) -> int:
    """Show what apply would do, and change nothing."""
    return show_plan(invocation, "plan", sql=sql, pending=ExitCode.PENDING if exit_code else ExitCode.DONE)
