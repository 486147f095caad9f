"""`url`: the database's address, for whatever else needs it."""

from __future__ import annotations

import click

from bootstrapper import api
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data
from bootstrapper.errors import ExitCode


@click.command()
@takes(
    *options.WHERE,
    *options.PRINTING,
    click.option(
        "--driver",
        type=click.Choice(["asyncpg", "psycopg", "psycopg2"]),
        help="For SQLAlchemy with this driver: postgresql+DRIVER://.",
    ),
)
def url(invocation: Invocation, *, driver: str | None) -> int:
    """Print the database's URL, password included, and nothing else.

    Starts the embedded server where it does not run; `dev stop` ends it.
    """
    print_data(api.url(request(invocation), driver))
    return ExitCode.DONE
