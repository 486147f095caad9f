"""`wait`: waits until the database accepts connections."""

from __future__ import annotations

import click

from bootstrapper.api import run
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.reporter import Reporter
from bootstrapper.errors import ExitCode


@click.command()
@click.option(
    "--for",
    "access",
    type=click.Choice(["read-write", "read-only", "any"]),
    help="Queries that the database must accept; by default as in the file.",
)
@takes(*options.WHERE, options.timeout, *options.REPORTING, *options.PRINTING)
def wait(invocation: Invocation, *, access: str | None) -> int:
    """Wait until the database accepts connections and writes."""
    explicit = {"access": access} if access else None
    with Reporter(invocation, "wait") as reporter:
        run.wait(request(invocation, reporter.emit, types=("wait",) if explicit else (), explicit=explicit))
        reporter.say("ready: the database accepts connections")
    return ExitCode.DONE
