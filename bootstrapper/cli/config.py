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
@takes(
    *options.WHERE,
    *options.PRINTING,
    click.option("--plan", is_flag=True, help="That of a plan as JSON instead."),
    click.option("--with-plugins", is_flag=True, help="Include what the plugins of the file add."),
)
def schema(invocation: Invocation, *, plan: bool, with_plugins: bool) -> int:
    """Print the JSON Schema of the file.

    It is the same for all files, and knows what is built in. With --with-plugins, it also knows the steps, checks and
    values of the plugins that the file lists: their code is imported.
    """
    if plan:
        options.refuse_beside("--plan", {"--with-plugins": with_plugins}, "plans have one schema")
        print_data(dumps(project.plan_schema()))
    else:
        print_data(dumps(project.config_schema(request(invocation) if with_plugins else None)))
    return ExitCode.DONE
