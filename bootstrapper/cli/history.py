"""`history`: prints the latest runs with the revisions that each applied, or all that is known of one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

import click

from bootstrapper.api import inspection
from bootstrapper.builtin.renderers import wording
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.formats import shown_by
from bootstrapper.cli.options import Invocation, refuse_beside, takes, was_given
from bootstrapper.cli.output import print_data, show_time, wrapped
from bootstrapper.cli.reporter import Reporter
from bootstrapper.config.units import show_seconds
from bootstrapper.errors import ExitCode, LedgerDamagedError, UsageError
from bootstrapper.plans import Action
from bootstrapper.postgres.ledger.records import RevisionRecord, RunHistory, StepRecord
from bootstrapper.text import counted, dumps, one_line

_PAST = {"upgrade": ">", "downgrade": "-", "stamp": "~"}


@click.command()
@click.argument("run", metavar="[RUN]", required=False, callback=options.refuse_empty)
@takes(
    *options.WHERE,
    options.timeout,
    options.found_format,
    *options.PRINTING,
    click.option(
        "--most", metavar="N", type=click.IntRange(min=1), default=20, show_default=True, help="Number of runs to show."
    ),
    click.option("--verify", is_flag=True, help="Compare the rows of all steps with their hashes instead."),
)
def history(invocation: Invocation, *, run: str | None, most: int, verify: bool) -> int:
    """Show the latest runs and their revisions, or one run in full.

    RUN is the number of a run, its id, or the beginning or end of its id.
    """
    if verify:
        if invocation.format not in ("text", "json"):
            raise UsageError(f"format {invocation.format!r} has no --verify", hint="Choose text or json.")
        refuse_beside("--verify", {"RUN": run, "--most": was_given("most")}, "it looks at all runs")
        return _verify(invocation)
    if run is not None:
        refuse_beside("RUN", {"--most": was_given("most")}, "it is one run")
    with Reporter(invocation, "history") as reporter:
        asked = request(invocation, reporter.emit)
        own = {"text": _text, "json": _json} if run is None else {"text": _in_full, "json": _json_in_full}
        show = shown_by(invocation, asked, "history", own)
        runs = inspection.history(asked, most) if run is None else [inspection.past_run(asked, run)]
        reporter.before_data()
        if runs is None and invocation.format not in own:
            runs = []  # only our own formats tell a database without a ledger from one without runs
        print_data(invocation.masker.mask(show(runs)))
    return ExitCode.DONE


def _verify(invocation: Invocation) -> int:
    with Reporter(invocation, "history") as reporter:
        found = inspection.verify_history(request(invocation, reporter.emit))
        faults = [invocation.masker.mask(one_line(fault.message)) for fault in found.faults] if found else []
        reporter.before_data()
        if invocation.format == "json":
            print_data(invocation.masker.mask(dumps(asdict(found) if found else None)))
        elif found is None:
            print_data("no steps: the database has no ledger")
        elif not faults:
            last = f", the last one is row {found.last_row} with hash {found.last_hash}" if found.rows else ""
            print_data(f"good: {counted(found.rows, 'row')}{last}")
        if faults:  # after everything known was printed
            raise LedgerDamagedError(faults)
    return ExitCode.DONE


def _text(found: Sequence[RunHistory] | None) -> str:
    return "\n".join(_lines(found))


def _lines(found: Sequence[RunHistory] | None) -> Iterator[str]:
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


def _in_full(runs: Sequence[RunHistory] | None) -> str:
    return "\n".join(line for run in runs or () for line in _all_of(run))


def _all_of(run: RunHistory) -> Iterator[str]:
    facts = {
        "run": str(run.run_id),
        "number": str(run.serial),
        "command": _command(run),
        "outcome": _outcome(run),
        "started": show_time(run.started_at),
        "finished": show_time(run.finished_at) if run.finished_at else "unknown",
        "by": f"{_who(run)}, process {run.pid}",
        "version": f"bootstrapper {run.version}",
        "inputs": run.inputs,
        "plan": run.plan,
        "restored": _restored(run.restored) if run.restored is not None else None,
    }
    width = max(map(len, facts))
    yield from (f"{name:<{width}}  {one_line(fact)}" for name, fact in facts.items() if fact)
    if run.error:
        yield from _error(run.error, indent="")
    if run.steps:
        yield from ("", "steps:")
    finished = {step.step for step in run.steps if step.kind == "result"}
    for step in run.steps:
        if step.kind == "result" or step.step not in finished:
            yield from _step(step)
    if run.revisions:
        yield from ("", "revisions:", *(f"  {_revision(each)}" for each in run.revisions))


def _step(step: StepRecord) -> Iterator[str]:
    name = step.step if step.step == step.uses else f"{step.step} ({step.uses})"
    seconds = f" in {show_seconds(step.seconds)}" if step.seconds is not None else ""
    done = "no result: it was interrupted, or failed" if step.kind == "intent" else f"{_changes(step)}{seconds}"
    yield from wrapped(one_line(f"  {show_time(step.recorded_at)}  {name}  {done}"), hang=6)
    for remark in step.remarks:
        yield from wrapped(f"    ! {one_line(remark)}", hang=6)


def _changes(step: StepRecord) -> str:
    past = wording.past(step.uses)
    counts = {past[Action(action)]: number for action, number in step.changes.items()}
    return ", ".join(f"{number:,} {verb}" for verb, number in counts.items()) or "done"


def _error(text: str, indent: str = "    ") -> Iterator[str]:
    """Yields the lines of the error as they were printed by the run."""
    for line in f"error: {text}".splitlines():
        yield from wrapped(f"{indent}{one_line(line)}", hang=len(indent) + 2)


def _run(run: RunHistory) -> str:
    return one_line(f"{run.serial:>4}  {show_time(run.started_at)}  {_command(run)}  {_outcome(run)}  by {_who(run)}")


def _command(run: RunHistory) -> str:
    return run.command + "".join(f" · {each}" for each in (run.project, run.file, run.environment) if each)


def _outcome(run: RunHistory) -> str:
    seconds = f" in {show_seconds(run.seconds)}" if run.seconds is not None else ""
    return f"{run.outcome or 'not finished'}{seconds}"


def _who(run: RunHistory) -> str:
    return f"{run.role or 'unknown role'} on {run.host}"


def _restored(origin: Mapping[str, str | None]) -> str:
    taken = f", taken {show_time(datetime.fromisoformat(at))}" if (at := origin.get("taken_at")) else ""
    by = f" by run {run_id}" if (run_id := origin.get("taken_by")) else ""
    before, after = (origin.get(name) or "unknown" for name in ("from", "to"))
    revisions = f"revision {after}" if before == after else f"revision {before} replaced by {after}"
    return one_line(f"< {origin.get('backup')}{taken}{by}: {revisions}")


def _revision(each: RevisionRecord) -> str:
    seconds = f" in {show_seconds(each.seconds)}" if each.seconds is not None else ""
    return one_line(f"{_PAST[each.action]} {show_time(each.noted_at)}  {each.action} {each.revision}{seconds}")


def _json(runs: Sequence[RunHistory] | None) -> str:
    return dumps([asdict(run) for run in runs or ()])


def _json_in_full(runs: Sequence[RunHistory] | None) -> str:
    return "\n".join(dumps(asdict(run)) for run in runs or ())
