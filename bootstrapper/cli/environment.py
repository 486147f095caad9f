"""`environment`: shows which environment a database belongs to, and marks it."""

from __future__ import annotations

from dataclasses import asdict, replace

import click

from bootstrapper.api import environments
from bootstrapper.api.environments import Marked
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.groups import Group
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data
from bootstrapper.cli.reporter import Reporter
from bootstrapper.errors import ExitCode
from bootstrapper.text import dumps, one_line


@click.group(cls=Group)
def environment() -> None:
    """Show which environment the database belongs to, or mark it."""


@environment.command()
@takes(*options.WHERE, options.timeout, options.data_format, *options.PRINTING)
def show(invocation: Invocation) -> int:
    """Show the environment that the database is marked as, and since when."""
    with Reporter(invocation, "environment show") as reporter:
        found = environments.environment_of(request(invocation, reporter.emit))
        reporter.before_data()
        print_data(_json(found) if invocation.format == "json" else _text(found))
    return ExitCode.DONE


@environment.command(name="set")
@click.argument("name", callback=options.refuse_empty)
@takes(options.file, options.timeout, options.confirm, *options.PRINTING)
def set_(invocation: Invocation, *, name: str) -> int:
    """Mark the database of environment NAME as its own.

    The first `apply` of a protected environment marks it by itself. Runs of other environments are refused then. If the
    database belongs to another environment, --confirm with the name of the database is required.
    """
    with Reporter(invocation, "environment set") as reporter:
        done = environments.set_environment(request(replace(invocation, environment=name), reporter.emit))
        how = "marked" if done.is_new else "nothing to do"
        reporter.say(f"{how}: database {done.database} belongs to environment {done.mark}")
    return ExitCode.DONE


def _text(found: Marked) -> str:
    if found.mark is not None:
        return str(found.mark)
    last = f"; last written by a run of environment {one_line(found.last)}" if found.last is not None else ""
    return f"not marked{last}"


def _json(found: Marked) -> str:
    mark = asdict(found.mark) if found.mark else None
    return dumps({"database": found.database, "mark": mark, "last_run_of": found.last})
