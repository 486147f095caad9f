"""Shows a plan: `plan` itself, and `--dry-run` of every command that writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bootstrapper import api
from bootstrapper.api import Request
from bootstrapper.cli.colouring import coloured
from bootstrapper.cli.options import Invocation
from bootstrapper.cli.output import columns, print_data
from bootstrapper.cli.reporter import Reporter
from bootstrapper.cli.requests import request
from bootstrapper.errors import ExitCode
from bootstrapper.renderer import Renderer

if TYPE_CHECKING:  # what commands about migrations do is loaded by those commands alone
    from bootstrapper.operations import Operation


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
