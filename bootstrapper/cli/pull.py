"""`pull`: fixtures from the rows of a live database."""

from __future__ import annotations

from pathlib import Path

import click

from bootstrapper import api, wording
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data
from bootstrapper.cli.reporter import Reporter
from bootstrapper.cli.reportfile import files_read
from bootstrapper.destination import require_writable
from bootstrapper.errors import ExitCode, UsageError
from bootstrapper.fixtures.pull.pulling import Wanted

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("tables", metavar="TABLE...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", type=_PATH, help="Writes the fixtures to FILE instead of stdout.")
@click.option("--into", metavar="FOLDER", type=_PATH, help="Large tables go to FOLDER/TABLE.csv.")
@click.option(
    "--inline",
    metavar="N",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="With --into, the most rows of a table that stay in the YAML.",
)
@click.option(
    "--mode",
    type=click.Choice(["create", "update"]),
    help="Mode of the fixtures; by default that of the file's fixture for the table, else create.",
)
@takes(*options.WHERE, options.overwrite, options.timeout, *options.PRINTING)
def pull(
    invocation: Invocation,
    *,
    tables: tuple[str, ...],
    output: Path | None,
    into: Path | None,
    inline: int,
    mode: str | None,
) -> int:
    """Write fixtures from the rows that tables hold now.

    A TABLE is a name, or SCHEMA.TABLE. Only reads, and takes no lock. Generated columns, primary keys that the server
    makes, and columns whose names look like secrets are left out; comments say which.
    """
    if into is None and options.was_given("inline"):
        raise UsageError("--inline means nothing without --into: all rows stay in the YAML", hint="Add --into FOLDER.")
    if output is not None:  # before anything is connected
        inputs = files_read(invocation.file, invocation.environment, invocation.variables)
        require_writable(output, overwrite=invocation.overwrite, inputs=inputs)
    wanted = Wanted(tables=tables, mode=mode, inline=inline, into=into, output=output, overwrite=invocation.overwrite)
    with Reporter(invocation, "pull") as reporter:
        pulled = api.pull(request(invocation, reporter.emit), wanted)
        if output is None:
            reporter.make_way_for_data()
            print_data(pulled.text.removesuffix("\n"))
        written = [str(path) for path in (*([output] if output else []), *pulled.files)]
        rows = wording.counted(sum(pulled.rows.values()), "row")
        to = f" to {', '.join(written)}" if written else ""
        reporter.say(f"pulled {rows} of {wording.counted(len(pulled.rows), 'fixture')}{to}")
    return ExitCode.DONE
