"""`config`: prints the configuration after all overlays, and the JSON Schema for editors."""

from __future__ import annotations

import click

from bootstrapper.api import project
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.groups import Group
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data
from bootstrapper.errors import ExitCode
from bootstrapper.text import dumps


@click.group(cls=Group)
def config() -> None:
    """Show the configuration, or its JSON Schema."""


@config.command()
@takes(*options.WHERE, *options.PRINTING)
def show(invocation: Invocation) -> int:
    """Print the file, merged with the overlay of the environment."""
    print_data(project.config_text(request(invocation)).rstrip("\n"))
    return ExitCode.DONE


@config.command()
@takes(*options.PRINTING, click.option("--plan", is_flag=True, help="That of a plan as JSON instead."))
def schema(invocation: Invocation, *, plan: bool) -> int:
    """Print the JSON Schema of the file."""
    print_data(dumps(project.plan_schema() if plan else project.config_schema()))
    return ExitCode.DONE
