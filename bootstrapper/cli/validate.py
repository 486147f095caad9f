"""`validate`: reads the file and all files that it names, without a database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from bootstrapper.api import project
from bootstrapper.api.project import Validation
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data
from bootstrapper.errors import ExitCode
from bootstrapper.text import counted, dumps, one_line


@click.command()
@click.argument("revisions", metavar="[REVISION]...", nargs=-1, type=click.Path(path_type=Path))
@takes(*options.WHERE, options.allow, options.data_format, *options.PRINTING)
def validate(invocation: Invocation, *, revisions: tuple[Path, ...]) -> int:
    """Check the file without connecting to a database.

    With files of revisions, also list the hazards of their SQL, as if each table that they do not create had rows;
    runs env.py. Hazards that destroy or block fail with exit code 9, unless they are allowed.
    """
    found = project.validate(request(invocation), revisions)
    print_data(_json(found) if invocation.format == "json" else _text(found))
    return ExitCode.GUARDED if any(each.allowed is False for each in found.hazards) else ExitCode.DONE


def _text(found: Validation) -> str:
    environment = f", environment {found.environment}" if found.environment else ""
    rows = sum(count or 0 for count in found.fixtures.values())
    more = "" if None not in found.fixtures.values() else " and those of data files"
    seeds = f", {counted(len(found.fixtures), 'fixture')} with {counted(rows, 'row')}{more}" if found.fixtures else ""
    head = f"{found.file} is valid: {counted(len(found.steps), 'step')}{seeds}{environment}"
    allowed = (f"{step} allows {', '.join(names)}" for step, names in found.allowed.items())
    return "\n".join([head, *allowed, *_hazards(found)])


def _hazards(found: Validation) -> Iterator[str]:
    if not found.revisions:
        return
    for each in found.hazards:
        standing = {None: "", True: " (allowed)", False: " (not allowed)"}[each.allowed]
        yield one_line(f"{each.place or each.target}: {each.name}{standing}: {each.message}")
        if each.remedy and not each.allowed:
            yield f"  {one_line(each.remedy)}"
    yield f"{counted(found.revisions, 'revision')}, {counted(len(found.hazards), 'hazard')}"


def _json(found: Validation) -> str:
    data = {
        "file": str(found.file),
        "environment": found.environment,
        "steps": list(found.steps),
        "fixtures": dict(found.fixtures),
        "allowed": {step: list(names) for step, names in found.allowed.items()},
        "revisions": found.revisions,
        "hazards": [asdict(each) for each in found.hazards],
    }
    return dumps(data)
