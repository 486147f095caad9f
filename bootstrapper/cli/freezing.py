"""`freeze` and `unfreeze`: keep every run from applying anything to a database."""

from __future__ import annotations

import click

from bootstrapper.api import freezing
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.reporter import Reporter
from bootstrapper.errors import ExitCode
from bootstrapper.events import Warned


def _words(context: click.Context, parameter: click.Parameter, text: str) -> str:
    options.refuse_empty(context, parameter, text.strip())
    return text.strip()


@click.command()
@click.argument("reason", callback=_words)
@takes(*options.WHERE, options.timeout, options.confirm, *options.PRINTING)
def freeze(invocation: Invocation, *, reason: str) -> int:
    """Let no run apply anything to the database, because of REASON.

    Every run that would write is refused (exit code 9), also one that waits for the lock already. A run that has the
    lock goes on; `lock break` ends it. Backups, restores and whatever only reads are allowed, and applications whose
    state is reached start.
    """
    with Reporter(invocation, "freeze") as reporter:
        done = freezing.freeze(request(invocation, reporter.emit), reason)
        if done.at_work is not None:
            hint = f"End it with `bootstrapper lock break {done.at_work.run_id}{invocation.again}`, or let it finish."
            reporter.emit(Warned(f"the lock was taken before: {done.at_work}", hint))
        how = "frozen" if done.is_new else "nothing to do: already frozen"
        reporter.say(f"{how}: database {done.database}: {done.freeze}")
    return ExitCode.DONE


@click.command()
@takes(*options.WHERE, options.timeout, options.confirm, *options.PRINTING)
def unfreeze(invocation: Invocation) -> int:
    """Let runs apply changes to the database again."""
    with Reporter(invocation, "unfreeze") as reporter:
        done = freezing.unfreeze(request(invocation, reporter.emit))
        if done.freeze is None:
            reporter.say(f"nothing to do: database {done.database} is not frozen")
        else:
            reporter.say(f"unfrozen: database {done.database}, which was frozen: {done.freeze}")
    return ExitCode.DONE
