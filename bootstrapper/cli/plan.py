"""`plan`: prints what `apply` would change; other commands print their plan for `--dry-run`."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import click

from bootstrapper.api import plan_files, run
from bootstrapper.cli import options, reportfile
from bootstrapper.cli.api_request import Specifics, request
from bootstrapper.cli.formats import print_formatted, renderer
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.reporter import Reporter
from bootstrapper.engine.request import Request
from bootstrapper.errors import ExitCode
from bootstrapper.plans import Plan
from bootstrapper.plans.saved import SavedPlan


@click.command()
@takes(
    *options.SELECTION,
    options.plan_format,
    options.full,
    *options.REPORTING,
    options.allow,
    *options.RUNNING,
    click.option("--sql", is_flag=True, help="Show the SQL of each revision and its locks; runs env.py."),
    options.file_option("--out", "Save the plan to FILE, for `apply FILE`; signed if BOOTSTRAPPER_PLAN_KEY is set."),
    options.exit_code,
)
def plan(invocation: Invocation, *, sql: bool, out: Path | None, exit_code: bool) -> int:
    """Show what apply would change, and change nothing."""
    pending = ExitCode.PENDING if exit_code else ExitCode.DONE
    prints = not invocation.wants_exit_code_only(exit_code=exit_code)
    return show_plan(invocation, "plan", out=out, pending=pending, prints=prints, sql=sql)


def show_plan(
    invocation: Invocation,
    command: str,
    *,
    out: Path | None = None,
    pending: ExitCode = ExitCode.DONE,
    prints: bool = True,
    **specifics: Unpack[Specifics],
) -> ExitCode:
    """Prints the plan to stdout and returns the exit code, which is `pending` if the plan has changes.

    Args:
        out: Where the plan is saved as well.
        prints: False to print no plan.
    """
    with Reporter(invocation, command) as reporter:
        asked = request(invocation, reporter.emit, **specifics)
        if out is not None:
            inputs = reportfile.files_read(invocation.file, invocation.environment, invocation.variables)
            plan_files.require_place(out, overwrite=invocation.overwrite, inputs=inputs)
        plan = make_plan(invocation, reporter, asked, is_to_be_saved=out is not None, prints=prints)
        if out is not None:
            saved = SavedPlan.of(plan, asked.plan_key)
            plan_files.write(out, saved)
            how = "signed" if saved.signature else "not signed"
            reporter.say(f"saved to {out} ({how}, digest {saved.digest[:12]}); to make exactly these changes:")
            reporter.say(f"  bootstrapper apply {out}")
        reporter.exit_code = pending if plan.pending else ExitCode.DONE
    return reporter.exit_code


def make_plan(
    invocation: Invocation, reporter: Reporter, asked: Request, *, is_to_be_saved: bool = False, prints: bool = True
) -> Plan:
    """Plans within an open report, prints the plan and returns it."""
    render = renderer(invocation, asked)
    plan = reporter.journal.plan = run.plan(asked, reporter.journal.command, is_to_be_saved=is_to_be_saved)
    if prints:
        reporter.before_data()
        print_formatted(invocation, render.plan(plan))
    return plan
