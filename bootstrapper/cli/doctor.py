"""`doctor`: examines what a command needs, before anything is tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from bootstrapper.api import diagnosis
from bootstrapper.api.diagnosis import Diagnosis
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import GREEN, RED, YELLOW, data_stream, paint, print_data, takes_colour, wrapped
from bootstrapper.cli.reporter import Reporter
from bootstrapper.doctor.privileges import NAMES
from bootstrapper.doctor.result import Result, Verdict
from bootstrapper.text import counted, dumps, one_line

_COLOURS = {Verdict.OK: GREEN, Verdict.WARNING: YELLOW, Verdict.PROBLEM: RED}
_TYPES = {"migrate": "migrate", "upgrade": "migrate", "downgrade": "migrate", "stamp": "migrate"}
_TYPES |= {"seed": "seed", "backup": "backup"}
"""The type of the steps that a command is about."""
_HEADING = "The owner of the objects, or a superuser, can give what is missing:"
_WIDTH = max(map(len, Verdict))


@click.command()
@takes(
    click.option(
        "--for",
        "command",
        metavar="COMMAND",
        type=click.Choice(list(NAMES)),
        default=diagnosis.DEFAULT_COMMAND,
        show_default=True,
        help="The command whose needs are examined.",
    ),
    *options.SELECTION,
    options.data_format,
    *options.RUNNING,
)
def doctor(invocation: Invocation, *, command: str) -> int:
    """Check what a command needs, before anything is tried.

    Server, pooler, encryption, connections, clock, privileges with the GRANT for each that is missing, pg_dump, the
    folder of backups, the lock, and variables. Everything is read in one READ ONLY transaction.

    The exit code is that of the first problem, and the same as the command would have: 5 if the server cannot be
    reached or accepts no writes, 6 for a missing privilege, 9 for a pooler where a direct connection is needed, 1 for
    what a backup lacks. Warnings leave it at 0.
    """
    with Reporter(invocation, "doctor") as reporter:
        types = (_TYPES[command],) if command in _TYPES else ()
        found = diagnosis.diagnose(request(invocation, reporter.emit, types=types), command)
        reporter.before_data()
        colour = takes_colour(data_stream(), invocation.variables, no_color=invocation.no_color)
        print_data(_json(found) if invocation.format == "json" else "\n".join(_text(found, colour=colour)))
    return found.exit_code


def _json(found: Diagnosis) -> str:
    results = [{**asdict(result), "exit_code": int(result.exit_code)} for result in found.results]
    facts = {"command": found.command, "where": found.where, "role": found.role, "exit_code": int(found.exit_code)}
    return dumps({**facts, "results": results})


def _text(found: Diagnosis, *, colour: bool) -> Iterator[str]:
    width = max(len(result.check) for result in found.results)
    hang = _WIDTH + width + 4
    for result in found.results:
        mark = f"{result.verdict:<{_WIDTH}}"
        first, *more = wrapped(f"{mark}  {result.check:<{width}}  {one_line(result.message)}", hang)
        yield paint(mark, _COLOURS[result.verdict], enabled=colour) + first[_WIDTH:]
        yield from more
        for detail in result.details:
            yield from wrapped(f"{'':<{hang}}{one_line(detail)}", hang + 2)
        if result.remedy and not result.statements:
            yield from wrapped(f"{'':<{hang}}{result.remedy}", hang)
    statements = dict.fromkeys(text for result in found.results for text in result.statements)
    if statements:
        yield from ("", _HEADING, "", *map(one_line, statements))
    yield from ("", _total(found.results))


def _total(results: tuple[Result, ...]) -> str:
    counts = {verdict: sum(result.verdict is verdict for result in results) for verdict in Verdict}
    problems, warnings = counts[Verdict.PROBLEM], counts[Verdict.WARNING]
    if not problems and not warnings:
        return "No problems."
    return f"{counted(problems, 'problem')}, {counted(warnings, 'warning')}."
