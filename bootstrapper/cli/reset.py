"""`reset`: shows what the migrations built and the ledger, asks, and drops it."""

from __future__ import annotations

from dataclasses import replace

import click

from bootstrapper.api import reset as resetting
from bootstrapper.api.repeated import once
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.confirmation import Consent
from bootstrapper.cli.formats import print_formatted, renderer
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.reporter import Reporter
from bootstrapper.errors import ExitCode
from bootstrapper.text import counted

_NOTHING = "nothing was dropped"


@click.command()
@takes(
    *options.WHERE,
    options.timeout,
    options.plan_format,
    *options.REPORTING,
    *options.RUNNING,
    options.yes,
    options.confirm,
    click.option("--dry-run", is_flag=True, help="Show what would be dropped, and change nothing."),
)
def reset(invocation: Invocation, *, yes: bool, dry_run: bool) -> int:
    """Drop what the migrations built, and the ledger.

    Builds the revisions that the database is at in a scratch database of the same server, for which the role needs
    CREATEDB, and drops the objects of the same names with their rows, the version table and the ledger, in one
    transaction. Whatever else is in the database stays; if some of it depends on these objects, nothing is dropped.

    Shows what is dropped, then asks. A protected environment requires the name of the database, typed or given with
    --confirm. `dev reset` deletes an embedded server with all of its databases instead.
    """
    with Reporter(invocation, "reset") as reporter:
        asked = request(invocation, once(reporter.emit))
        render = renderer(replace(invocation, full=True), asked)  # all that goes is shown
        shown = resetting.preview(asked)
        reporter.journal.plan = shown.plan
        reporter.before_data()
        print_formatted(invocation, render.plan(shown.plan))
        if dry_run or not shown.plan.pending:
            return ExitCode.DONE
        database, number = shown.plan.database.database, len(shown.plan.steps[0].changes)
        question = f"Drop {counted(number, 'object')} of database {database} permanently?"
        Consent(yes, invocation.confirm).require(invocation, question, database, _NOTHING)
        resetting.reset(asked, shown)
        reporter.say(f"reset: dropped {counted(number, 'object')} of database {database}")
    return ExitCode.DONE
