"""`url`: prints the URL of the database for other programs."""

from __future__ import annotations

import click

from bootstrapper.api import project
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data
from bootstrapper.config.document import DRIVERS
from bootstrapper.errors import ExitCode


@click.command()
@takes(
    *options.WHERE,
    *options.PRINTING,
    click.option(
        "--driver",
        metavar="DRIVER",
        type=click.Choice(sorted(DRIVERS)),
        help=f"Driver for SQLAlchemy, postgresql+DRIVER://: {', '.join(sorted(DRIVERS))}.",
    ),
)
def url(invocation: Invocation, *, driver: str | None) -> int:
    """Print the URL of the database, with the password.

    Starts the embedded server if it is not running; `dev stop` stops it.
    """
    print_data(project.url(request(invocation), driver))
    return ExitCode.DONE
