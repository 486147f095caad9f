"""`plan`: what would be done, down to the row; `--dry-run` of every command that writes shows the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from bootstrapper import api
from bootstrapper.api import Request
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import columns, print_data
from bootstrapper.cli.plan_colours import coloured
from bootstrapper.cli.reporter import Reporter
from bootstrapper.errors import ExitCode
from bootstrapper.renderer import Renderer

if TYPE_CHECKING:  # what commands about migrations do is loaded by those commands alone
    from bootstrapper.operations import Operation


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


def show_plan(
    invocation: Invocation,
    command: str,
    *,
    types: tuple[str, ...] = (),
    explicit: Mapping[str, object] | None = None,
    operation: Operation | None = None,
    sql: bool = False,
    force: bool = False,
    pending: ExitCode = ExitCode.DONE,
) -> ExitCode:
    """Prints the plan to stdout.

    Args:
        explicit: Options for the step of the type, from the command line.
        operation: What the command makes of the step of the type.
        sql: Whether changes show their statements.
        pending: The exit code where the plan has changes.
    """
    with Reporter(invocation, command) as reporter:
        asked = request(
            invocation, reporter.emit, types=types, explicit=explicit, operation=operation, sql=sql, force=force
        )
        render = plan_renderer(invocation, asked)
        plan = api.plan(asked, command)
        reporter.journal.plan = plan
        reporter.exit_code = pending if plan.pending else ExitCode.DONE
        reporter.make_way_for_data()
        print_plan(invocation, render.plan(plan))
    return reporter.exit_code


def plan_renderer(invocation: Invocation, asked: Request) -> Renderer:
    """What makes text of a plan in the format that was asked for, as wide as the terminal is."""
    render = api.renderer(asked, invocation.format or "text")
    render.width = columns()
    return render


def print_plan(invocation: Invocation, text: str) -> None:
    shown = invocation.masker.mask(text)
    print_data(coloured(shown, invocation) if invocation.format in (None, "text") else shown)
