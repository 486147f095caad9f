"""`init`: writes the first bootstrap.yaml of a project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from bootstrapper.api import init as starting
from bootstrapper.api.init import Draft
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.init_text import findings, next_commands
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data
from bootstrapper.cli.reporter import Reporter
from bootstrapper.errors import ExitCode, UsageError
from bootstrapper.text import counted, listed

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--alembic", metavar="FILE", type=_PATH, help="The alembic.ini, pyproject.toml or env.py to use.")
@click.option("--from-database", metavar="URL", help="Pull fixtures from this database; the URL is not written.")
@click.option(
    "--table",
    "tables",
    metavar="TABLE",
    multiple=True,
    help="With --from-database, pull this table instead of small lookup tables; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Print the file to stdout, and write nothing.")
@takes(options.file, options.timeout, *options.PRINTING)
def init(
    invocation: Invocation, *, alembic: Path | None, from_database: str | None, tables: tuple[str, ...], dry_run: bool
) -> int:
    """Write the first bootstrap.yaml.

    Finds the Alembic project of the folder, the variable with the database's address, the version table and the tables,
    by reading files: no code of the project is imported. Writes bootstrap.yaml with the environments development, on an
    embedded server, and production, which is protected; and adds lines to .gitignore. An existing file is never
    replaced.
    """
    if tables and from_database is None:
        raise UsageError("--table requires --from-database", hint="Add --from-database URL, or omit --table.")
    if not dry_run:
        starting.require_new(invocation.file)
    with Reporter(invocation, "init") as reporter:
        made = starting.draft(request(invocation, reporter.emit), config=alembic, url=from_database, tables=tables)
        for line in findings(made):
            reporter.say(line)
        if dry_run:
            reporter.before_data()
            print_data(made.texts[invocation.file.absolute()].decode().rstrip("\n"))
            return ExitCode.DONE
        starting.write(made)
        for line in (*_written(made), "", *next_commands(made)):
            reporter.say(line)
    return ExitCode.DONE


def _written(made: Draft) -> Iterator[str]:
    names = [path.name for path in reversed(list(made.texts)) if path.name != ".gitignore"]
    rows = sum(made.rows.values())
    pulled = f", with {counted(rows, 'row')} of {counted(len(made.rows), 'fixture')}" if made.rows else ""
    yield f"wrote {listed(names)}{pulled}"
    if made.ignored:
        yield f"added {listed(made.ignored)} to .gitignore"
