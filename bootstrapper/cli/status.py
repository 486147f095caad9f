"""`status`: how the database stands, who holds the lock, and what the last run did."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from bootstrapper import api, jsontext, wording
from bootstrapper.api import Status
from bootstrapper.cli import options
from bootstrapper.cli.colouring import coloured
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data, wrapped
from bootstrapper.cli.reporter import Reporter
from bootstrapper.cli.requests import request
from bootstrapper.errors import ExitCode
from bootstrapper.postgres.ledger import RunRecord


@click.command()
@takes(*options.SELECTION, options.data_format, *options.PRINTING)
def status(invocation: Invocation) -> int:
    """Show how the database stands and what the last run did."""
    with Reporter(invocation, "status") as reporter:
        found = api.status(request(invocation, reporter.emit))
        reporter.make_way_for_data()
        mask = invocation.masker.mask
        print_data(mask(_json(found)) if invocation.format == "json" else coloured(mask(_text(found)), invocation))
    return ExitCode.DONE


def _text(found: Status) -> str:
    plan = found.plan
    width = max((len(wording.step_name(step)) for step in plan.steps), default=0)
    heads = [
        f"{wording.glyph(step)} {wording.step_name(step):<{width}}  {wording.headline(step)}" for step in plan.steps
    ]
    steps = [line for head in heads for line in wrapped(head, hang=width + 4)]
    besides = [line for step in plan.steps for item in step.findings for line in wrapped(wording.finding(item), hang=2)]
    facts = [f"last run: {_run(found.last_run)}", f"lock: {wording.one_line(str(found.holder or 'free'))}"]
    facts = [line for fact in facts for line in wrapped(fact, hang=4)]
    return "\n".join([wording.title(plan), wording.where(plan), "", *steps, *besides, "", *facts, wording.totals(plan)])


def _run(record: RunRecord | None) -> str:
    if record is None:
        return "none"
    started = f"{record.started_at:%Y-%m-%d %H:%M:%S %Z}".rstrip()
    return f"number {record.serial}, {record.command}, {record.outcome or 'not finished'}, started {started}"


def _json(found: Status) -> str:
    record = asdict(found.last_run) if found.last_run else None
    holder = asdict(found.holder) if found.holder else None
    data = {"plan": json.loads(found.plan.to_json()), "last_run": record, "holder": holder}
    return jsontext.dumps(data)
