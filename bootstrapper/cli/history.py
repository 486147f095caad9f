"""`history`: prints the latest runs with the revisions that each applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime

import click

from bootstrapper.api import inspection
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data, show_time, wrapped
from bootstrapper.cli.reporter import Reporter
from bootstrapper.config.units import show_seconds
from bootstrapper.errors import ExitCode
from bootstrapper.postgres.ledger.records import RevisionRecord, RunHistory
from bootstrapper.text import dumps, one_line

_PAST = {"upgrade": ">", "downgrade": "-", "stamp": "~"}


@click.command()
@takes(
    *options.WHERE,
    options.timeout,
    options.data_format,
    *options.PRINTING,
    click.option(
        "--most", metavar="N", type=click.IntRange(min=1), default=20, show_default=True, help="Number of runs to show."
    ),
)
def history(invocation: Invocation, *, most: int) -> int:
    """Show the latest runs and the revisions they applied."""
    with Reporter(invocation, "history") as reporter:
        found = inspection.history(request(invocation, reporter.emit), most)
        reporter.before_data()
        text = _json(found) if invocation.format == "json" else "\n".join(_text(found))
        print_data(invocation.masker.mask(text))
    return ExitCode.DONE


def _text(found: list[RunHistory] | None) -> Iterator[str]:
    if not found:
        yield "no runs" if found is not None else "no runs: the database has no ledger"
    for run in found or ():
        yield _run(run)
        if run.restored is not None:
            yield from wrapped(f"    {_restored(run.restored)}", hang=6)
        yield from (f"    {_revision(each)}" for each in run.revisions)
        for remark in run.remarks:
            yield from wrapped(f"    ! {one_line(remark)}", hang=6)
        if run.error:
            yield from _error(run.error)


def _error(text: str) -> Iterator[str]:
    """Yields the lines of the error as they were printed by the run."""
    for line in f"error: {text}".splitlines():
        yield from wrapped(f"    {one_line(line)}", hang=6)


def _run(run: RunHistory) -> str:
    seconds = f" in {show_seconds(run.seconds)}" if run.seconds is not None else ""
    whose = "".join(f" · {each}" for each in (run.project, run.file, run.environment) if each)
    who = f"{run.role or 'unknown role'} on {run.host}"
    outcome = run.outcome or "not finished"
    what = f"{run.command}{whose}  {outcome}{seconds}"
    return one_line(f"{run.serial:>4}  {show_time(run.started_at)}  {what}  by {who}")


def _restored(origin: Mapping[str, str | None]) -> str:
    taken = f", taken {show_time(datetime.fromisoformat(at))}" if (at := origin.get("taken_at")) else ""
    by = f" by run {run_id}" if (run_id := origin.get("taken_by")) else ""
    before, after = (origin.get(name) or "unknown" for name in ("from", "to"))
    revisions = f"revision {after}" if before == after else f"revision {before} replaced by {after}"
    return one_line(f"< {origin.get('backup')}{taken}{by}: {revisions}")


def _revision(each: RevisionRecord) -> str:
    seconds = f" in {show_seconds(each.seconds)}" if each.seconds is not None else ""
    return one_line(f"{_PAST[each.action]} {show_time(each.noted_at)}  {each.action} {each.revision}{seconds}")


def _json(found: list[RunHistory] | None) -> str:
    return dumps([asdict(run) for run in found or ()])
