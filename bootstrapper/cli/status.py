"""`status`: prints the state of each step, the last run and the holder of the lock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from bootstrapper.api import inspection
from bootstrapper.api.inspection import Status
from bootstrapper.builtin.renderers import wording
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data, show_time, wrapped
from bootstrapper.cli.plan_colours import coloured
from bootstrapper.cli.reporter import Reporter
from bootstrapper.errors import ExitCode
from bootstrapper.plans import Plan, PlannedStep, State
from bootstrapper.postgres.ledger.records import RunHistory
from bootstrapper.text import dumps, listed, one_line

_MOST_NAMES = 5


@click.command()
@takes(*options.SELECTION, options.data_format, *options.RUNNING)
def status(invocation: Invocation) -> int:
    """Show the state of the database and the last run."""
    with Reporter(invocation, "status") as reporter:
        found = inspection.status(request(invocation, reporter.emit))
        reporter.before_data()
        mask = invocation.masker.mask
        print_data(mask(_json(found)) if invocation.format == "json" else coloured(mask(_text(found)), invocation))
    if found.errors:  # after everything known was printed
        raise found.errors[0]
    return ExitCode.DONE


def _text(found: Status) -> str:
    plan = found.plan
    width = max((len(wording.step_name(step)) for step in plan.steps), default=0)
    steps = [line for step in plan.steps for line in _step(step, width)]
    besides = [line for step in plan.steps for item in step.findings for line in wrapped(wording.finding(item), hang=2)]
    last, holder = _run(found.last_run), one_line(str(found.holder or "free"))
    facts = [f"last run: {last}", f"lock: {holder}"] if found.knows_ledger else ["last run: unknown", "lock: unknown"]
    facts += [f"frozen: {found.freeze}"] if found.freeze is not None else []
    facts = [line for fact in facts for line in wrapped(fact, hang=4)]
    return "\n".join([wording.title(plan), wording.where(plan), "", *steps, *besides, "", *facts, _last(plan)])


def _last(plan: Plan) -> str:
    unknown = [step.name for step in plan.steps if step.state is State.UNKNOWN]
    if not unknown:
        return wording.totals(plan)
    told = f"{wording.totals(plan)} " if plan.pending else ""
    return f"{told}State unknown: {listed(unknown)}."


def _step(step: PlannedStep, width: int) -> Iterator[str]:
    yield from wrapped(f"{wording.glyph(step)} {wording.step_name(step):<{width}}  {wording.headline(step)}", width + 4)
    names = [change.target for change in step.changes] + [name for item in step.deferred for name in item.targets]
    if names:
        left = [f"and {len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
        shown = [one_line(name) for name in names[:_MOST_NAMES]]
        yield from wrapped(" " * (width + 4) + ", ".join([*shown, *left]), width + 4)


def _run(record: RunHistory | None) -> str:
    if record is None:
        return "none"
    outcome = record.outcome or "not finished"
    told = f"number {record.serial}, {record.command}, {outcome}, started {show_time(record.started_at)}"
    return f"{told}: {one_line(record.error.partition(chr(10))[0])}" if record.error else told


def _json(found: Status) -> str:
    record = asdict(found.last_run) if found.last_run else None
    holder = asdict(found.holder) if found.holder else None
    errors = [{"message": error.message, "hint": error.hint, "exit_code": error.exit_code} for error in found.errors]
    data = {
        "plan": json.loads(found.plan.to_json()),
        "last_run": record,
        "holder": holder,
        "frozen": asdict(found.freeze) if found.freeze else None,
        "knows_ledger": found.knows_ledger,
        "errors": errors,
    }
    return dumps(data)
