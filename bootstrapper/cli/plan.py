"""`plan`: prints what `apply` would change; other commands print their plan for `--dry-run`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from bootstrapper.api import project, run
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import columns, print_data
from bootstrapper.cli.plan_colours import coloured
from bootstrapper.cli.reporter import Reporter
from bootstrapper.engine.open import Request
from bootstrapper.errors import ExitCode
from bootstrapper.plugin.renderer import Renderer

if TYPE_CHECKING:  # imported only by the commands that need it
    from bootstrapper.migrations.commands.operations import Operation


@click.command()
@takes(
    *options.SELECTION,
    options.plan_format,
    *options.REPORTING,
    *options.RUNNING,
    click.option("--sql", is_flag=True, help="Show the SQL of each revision and its locks; runs env.py."),
    click.option("--exit-code", is_flag=True, help="Exit with 4 if changes are pending, else with 0."),
)
def plan(invocation: Invocation, *, sql: bool, exit_code: bool) -> int:
    """Show what apply would change, and change nothing."""
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
    """Prints the plan to stdout and returns the exit code.

    Args:
        types: Types of the steps to plan; empty for all.
        explicit: Options from the command line for the step of the type.
        operation: Replaces the step of the type, such as a migrate step by a downgrade.
        sql: Whether changes show their statements.
        pending: The exit code if the plan has changes.
    """
    with Reporter(invocation, command) as reporter:
        asked = request(
            invocation, reporter.emit, types=types, explicit=explicit, operation=operation, sql=sql, force=force
        )
        render = plan_renderer(invocation, asked)
        plan = run.plan(asked, command)
        reporter.journal.plan = plan
        reporter.exit_code = pending if plan.pending else ExitCode.DONE
        reporter.before_data()
        print_plan(invocation, render.plan(plan))
    return reporter.exit_code


def plan_renderer(invocation: Invocation, asked: Request) -> Renderer:
    """Returns the renderer for the requested format, as wide as the terminal."""
    render = project.renderer(asked, invocation.format or "text")
    render.width = columns()
    return render


def print_plan(invocation: Invocation, text: str) -> None:
    shown = invocation.masker.mask(text)
    print_data(coloured(shown, invocation) if invocation.format in (None, "text") else shown)
