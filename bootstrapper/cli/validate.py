"""`validate`: reads the file and all files that it names, without a database."""

from __future__ import annotations

import click

from bootstrapper.api import project
from bootstrapper.api.project import Validation
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data
from bootstrapper.errors import ExitCode
from bootstrapper.text import counted, dumps


@click.command()
@takes(*options.WHERE, options.data_format, *options.PRINTING)
def validate(invocation: Invocation) -> int:
    """Check the file without connecting to a database."""
    found = project.validate(request(invocation))
    print_data(_json(found) if invocation.format == "json" else _text(found))
    return ExitCode.DONE


def _text(found: Validation) -> str:
    environment = f", environment {found.environment}" if found.environment else ""
    rows = sum(count or 0 for count in found.fixtures.values())
    more = "" if None not in found.fixtures.values() else " and those of data files"
    seeds = f", {counted(len(found.fixtures), 'fixture')} with {counted(rows, 'row')}{more}" if found.fixtures else ""
    head = f"{found.file} is valid: {counted(len(found.steps), 'step')}{seeds}{environment}"
    return "\n".join([head, *(f"{step} allows {', '.join(names)}" for step, names in found.allowed.items())])


def _json(found: Validation) -> str:
    data = {
        "file": str(found.file),
        "environment": found.environment,
        "steps": list(found.steps),
        "fixtures": dict(found.fixtures),
        "allowed": {step: list(names) for step, names in found.allowed.items()},
    }
    return dumps(data)
