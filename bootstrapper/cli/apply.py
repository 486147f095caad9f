"""`apply`: makes the changes and prints a summary; other commands that write do so through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import click

from bootstrapper.api import run
from bootstrapper.api.event_text import phrase
from bootstrapper.api.outcomes import Outcome
from bootstrapper.cli import options
from bootstrapper.cli.api_request import Specifics, request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.reporter import Reporter
from bootstrapper.engine.request import Request
from bootstrapper.errors import ExitCode
from bootstrapper.events import StepUnchanged
from bootstrapper.plans import Plan, State
from bootstrapper.text import one_line


@click.command()
@click.argument("plan", metavar="[PLAN]", required=False, type=click.Path(dir_okay=False, path_type=Path))
@takes(
    *options.SELECTION,
    options.outcome_format,
    options.full,
    *options.REPORTING,
    options.confirm,
    options.allow,
    *options.RUNNING,
    options.dry_run,
    click.option("--follow", is_flag=True, help="Wait until other runs are done; takes no lock, writes nothing."),
    click.option("--force", is_flag=True, help="Do not ask checks beforehand; never repeats rows or revisions."),
    click.option("--record", is_flag=True, help="With nothing to do, record that under the lock for the quick look."),
)
def apply(invocation: Invocation, *, plan: Path | None, dry_run: bool, follow: bool, force: bool, record: bool) -> int:
    """Bring the database to the declared state (alias: setup).

    With PLAN, a file of `bootstrapper plan --out FILE`, exactly its changes are made, in its environment; refused if
    anything differs by now.
    """
    if record:
        parts = {"PLAN": plan, "--step": invocation.step, "--skip": invocation.skip}
        whole = {**parts, "--force": force, "--follow": follow, "--dry-run": dry_run}
        options.refuse_beside("--record", whole, "the quick look answers for a run of the whole file")
    if plan is not None:
        others = {"--force": force, "--follow": follow, "--step": invocation.step, "--skip": invocation.skip}
        options.refuse_beside("PLAN", others, "a saved plan says what is applied")
        return _apply_saved(invocation, plan, dry_run=dry_run)
    if follow:
        others = {"--force": force, "--dry-run": dry_run, "--format": invocation.format, "--allow": invocation.allow}
        options.refuse_beside("--follow", others, "a follower makes no changes and shows no plan")
        with Reporter(invocation, "apply") as reporter:
            follow_asked(invocation, reporter, request(invocation, reporter.emit))
        return ExitCode.DONE
    return apply_or_show(invocation, "apply", dry_run=dry_run, force=force, records=record)


def _apply_saved(invocation: Invocation, file: Path, *, dry_run: bool) -> ExitCode:
    from bootstrapper.api import plan_files  # noqa: PLC0415 - most runs have no saved plan

    saved = plan_files.read(file)
    selection = saved.plan.selection
    environment = invocation.environment if invocation.environment is not None else saved.plan.environment
    invocation = replace(invocation, environment=environment, step=selection.steps, skip=selection.skip)
    return apply_or_show(invocation, "apply", dry_run=dry_run, saved=saved)


def apply_or_show(
    invocation: Invocation, command: str, *, dry_run: bool, nothing: str | None = None, **specifics: Unpack[Specifics]
) -> ExitCode:
    """Makes the changes and prints a summary, or prints the plan for a dry run.

    Args:
        nothing: The summary if there was nothing to do.
    """
    if dry_run:
        from bootstrapper.cli.plan import show_plan  # noqa: PLC0415 - needed for a dry run alone

        return show_plan(invocation, command, **specifics)
    is_program = invocation.format == "json"
    with Reporter(invocation, command, as_data=is_program) as reporter:
        asked = request(invocation, reporter.emit, **specifics)
        if invocation.format is None or is_program:
            apply_asked(invocation, reporter, asked, nothing)
        else:
            _apply_formatted(invocation, reporter, asked, nothing)
    return ExitCode.DONE


def _apply_formatted(invocation: Invocation, reporter: Reporter, asked: Request, nothing: str | None) -> None:
    """Prints the outcome in the format that was asked for; an unknown one is refused before anything is done."""
    from bootstrapper.cli.formats import print_formatted, renderer  # noqa: PLC0415 - most runs print lines alone

    render = renderer(invocation, asked, "outcome", ["json"])
    print_formatted(invocation, render.outcome(apply_asked(invocation, reporter, asked, nothing)))


def apply_asked(invocation: Invocation, reporter: Reporter, asked: Request, nothing: str | None = None) -> Outcome:
    """Makes the changes within an open report and prints a summary."""
    outcome = run.apply(asked, reporter.journal.command)
    reporter.journal.plan = outcome.plan
    reporter.say(_summary(invocation, reporter, outcome, nothing))
    if outcome.embedded:
        reporter.say(_connect(invocation))
    return outcome


def follow_asked(invocation: Invocation, reporter: Reporter, asked: Request) -> None:
    """Waits within an open report until other runs have reached the declared state."""
    followed = run.follow(asked)
    file = invocation.file.name
    ahead = f"not reached: the database is ahead of {file}"
    reporter.say(f"reached: the database matches {file}" if followed.is_reached else ahead)


def _summary(invocation: Invocation, reporter: Reporter, outcome: Outcome, nothing: str | None) -> str:
    if outcome.ahead or outcome.was_applied:
        is_ahead = f"left alone: the database is ahead of {invocation.file.name}"
        return is_ahead if outcome.ahead else "nothing to do: this plan was applied already"
    if outcome.applied:
        return reporter.journal.summary(outcome.seconds)
    if outcome.plan.pending:
        reasons = "; ".join(_found_unneeded(reporter, outcome.plan))
        return f"nothing left to do: {reasons or 'the changes were made in the meantime'}"
    if nothing:
        return nothing + "".join(_why_not(outcome.plan))
    if invocation.step or invocation.skip:
        return "nothing to do: no chosen step has changes" + "".join(_why_not(outcome.plan))
    return f"nothing to do: the database matches {invocation.file.name}"


def _found_unneeded(reporter: Reporter, plan: Plan) -> Iterator[str]:
    """Yields the steps that were pending but had no changes at their turn under the lock, with the reason."""
    pending = {step.name for step in plan.steps if step.has_changes}
    for event in reporter.journal.steps:
        if isinstance(event, StepUnchanged) and event.step in pending:
            said = phrase(event)
            yield one_line(f"{event.step} is {said.text}" if said else event.step)


def _why_not(plan: Plan) -> Iterator[str]:
    """Yields the answer of `when` for each step that it skipped, although the command names its type or the step."""
    for step in plan.steps:
        if step.state is State.SKIPPED and step.when is not None:
            yield f"; {step.name} is not needed: {step.when.reason}"


def _connect(invocation: Invocation) -> str:
    """Returns how to connect to the embedded server."""
    again = invocation.again
    return f"connect: bootstrapper dev psql{again} · URL: bootstrapper dev url{again}"
