"""`status`: prints the state of each step, the last run and the holder of the lock."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click

from bootstrapper.api import inspection
from bootstrapper.api.inspection import Status
from bootstrapper.api.standing import FixtureState, Position
from bootstrapper.builtin.renderers import wording
from bootstrapper.cli import health_text, options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.formats import print_formatted, shown_by
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import show_time, wrapped
from bootstrapper.cli.reporter import Reporter
from bootstrapper.config.units import show_seconds
from bootstrapper.errors import BackupError, ExitCode
from bootstrapper.plans import Action, Plan, PlannedStep, State
from bootstrapper.postgres.ledger.records import RunHistory
from bootstrapper.text import dumps, listed, one_line

_MOST_NAMES = 5


@click.command()
@takes(
    *options.SELECTION,
    options.found_format,
    *options.RUNNING,
    click.option("--health", is_flag=True, help="Also show connections, blocked sessions and other facts."),
    options.exit_code,
)
def status(invocation: Invocation, *, health: bool, exit_code: bool) -> int:
    """Show the state of the database and the last run.

    That is pending changes, revisions and heads, drifted fixtures, the last backup and run, and the lock.
    """
    with Reporter(invocation, "status") as reporter:
        asked = request(invocation, reporter.emit)
        show = shown_by(invocation, asked, "status", {"text": _text, "json": _json})
        found = inspection.status(asked, health=health)
        if not invocation.wants_exit_code_only(exit_code=exit_code):
            reporter.before_data()
            print_formatted(invocation, show(found))
    if found.errors:  # after everything known was printed
        raise found.errors[0]
    return ExitCode.PENDING if exit_code and found.plan.pending else ExitCode.DONE


def _text(found: Status) -> str:
    plan = found.plan
    width = max((len(wording.step_name(step)) for step in plan.steps), default=0)
    steps = [line for step in plan.steps for line in _step(step, width)]
    besides = [line for step in plan.steps for item in step.findings for line in wrapped(wording.finding(item), hang=2)]
    last, holder = _run(found.last_run), one_line(str(found.holder or "free"))
    facts = [f"last run: {last}", f"lock: {holder}"] if found.knows_ledger else ["last run: unknown", "lock: unknown"]
    facts += [f"frozen: {found.freeze}"] if found.freeze is not None else []
    facts = [line for fact in (*_standing(found), *facts) for line in wrapped(fact, hang=4)]
    fares = ["", *health_text.lines(found.health, found.invalid_objects)] if found.health is not None else []
    return "\n".join([wording.title(plan), wording.where(plan), "", *steps, *besides, "", *facts, _last(plan), *fares])


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


def _standing(found: Status) -> Iterator[str]:
    """Yields the revisions, the fixtures and the last backup, as far as the file has steps for them."""
    for each in found.revisions:
        step = f" of {each.step}" if len(found.revisions) > 1 else ""
        yield one_line(f"revision{step}: {_position(each)}")
    if found.fixtures:
        yield f"fixtures: {_fixtures(found.fixtures)}"
    if found.last_backup is not None:
        backup = found.last_backup
        yield one_line(f"last backup: {backup.file.rpartition('/')[2]}, {show_seconds(backup.age_seconds)} old")
    elif any(step.uses == "backup" for step in found.plan.steps):
        is_known = not any(isinstance(error, BackupError) for error in found.errors)
        yield f"last backup: {'none' if is_known else 'unknown'}"


def _position(each: Position) -> str:
    current = "unknown" if each.current is None else ", ".join(each.current) or "none"
    if each.is_at_head:
        return f"{current} (head)"
    return f"{current}, head is {', '.join(each.heads)}" if each.heads else current


def _fixtures(states: Sequence[FixtureState]) -> str:
    by_state = Counter(each.state for each in states)
    drifted = [f"{one_line(each.name)} ({_counts(each)})" for each in states if each.state == "drifted"]
    parts = [f"{number} {state}" for state, number in by_state.items()]
    return ", ".join(parts) + (f": {', '.join(drifted)}" if drifted else "")


def _counts(each: FixtureState) -> str:
    counts = {"to create": each.create, "to update": each.update, "to delete": each.delete}
    return ", ".join(f"{number:,} {verb}" for verb, number in counts.items() if number)


def _run(record: RunHistory | None) -> str:
    if record is None:
        return "none"
    outcome = record.outcome or "not finished"
    told = f"number {record.serial}, {record.command}, {outcome}, started {show_time(record.started_at)}"
    return f"{told}: {one_line(record.error.partition(chr(10))[0])}" if record.error else told


def _json(found: Status) -> str:
    record = asdict(found.last_run) if found.last_run else None
    holder = asdict(found.holder) if found.holder else None
    errors = [
        {"code": error.code, "message": error.message, "hint": error.hint, "exit_code": error.exit_code}
        for error in found.errors
    ]
    data = {
        "pending": {action.value: found.plan.count(action) for action in Action},
        "revisions": [{**asdict(each), "at_head": each.is_at_head} for each in found.revisions],
        "fixtures": [asdict(each) for each in found.fixtures],
        "last_backup": asdict(found.last_backup) if found.last_backup else None,
        "plan": json.loads(found.plan.to_json()),
        "last_run": record,
        "holder": holder,
        "frozen": asdict(found.freeze) if found.freeze else None,
        "knows_ledger": found.knows_ledger,
        "health": health_text.as_data(found.health, found.invalid_objects) if found.health is not None else None,
        "errors": errors,
    }
    return dumps(data)
