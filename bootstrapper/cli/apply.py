"""`apply`: makes the changes and prints what was done, also for the commands that run steps of one type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from bootstrapper import api
from bootstrapper.api import Outcome, Request
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.event_text import phrase
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.plan import plan_renderer, print_plan, show_plan
from bootstrapper.cli.reporter import Reporter
from bootstrapper.errors import ExitCode
from bootstrapper.events import StepUnchanged
from bootstrapper.plan import Plan, State
from bootstrapper.wording import one_line

if TYPE_CHECKING:  # what commands about migrations do is loaded by those commands alone
    from bootstrapper.operations import Operation


@click.command()
@takes(
    *options.SELECTION,
    options.plan_format,
    *options.REPORTING,
    options.confirm,
    *options.RUNNING,
    click.option("--dry-run", is_flag=True, help="Shows the plan, and changes nothing."),
    click.option("--follow", is_flag=True, help="Takes no lock and writes nothing: waits until others are done."),
    click.option("--force", is_flag=True, help="Asks no check beforehand; never repeats rows or revisions."),
)
def apply(invocation: Invocation, *, dry_run: bool, follow: bool, force: bool) -> int:
    """Bring the database to the declared state (also: setup)."""
    if follow:
        others = {"--force": force, "--dry-run": dry_run, "--format": invocation.format}
        options.refuse_beside("--follow", others, "a follower makes no changes and shows no plan")
    if dry_run:
        return show_plan(invocation, "apply", force=force)
    if follow:
        return follow_others(invocation)
    apply_all(invocation, "apply", force=force)
    return ExitCode.DONE


def apply_all(
    invocation: Invocation,
    command: str,
    *,
    types: tuple[str, ...] = (),
    explicit: Mapping[str, object] | None = None,
    operation: Operation | None = None,
    force: bool = False,
    nothing: str | None = None,
) -> None:
    """Runs.

    Args:
        explicit: Options for the step of the type, from the command line.
        operation: What the command makes of the step of the type.
        nothing: What is said where nothing had to be done.
    """
    with Reporter(invocation, command) as reporter:
        asked = request(invocation, reporter.emit, types=types, explicit=explicit, operation=operation, force=force)
        render = plan_renderer(invocation, asked) if invocation.format else None
        outcome = apply_asked(invocation, reporter, asked, nothing)
        if render:
            print_plan(invocation, render.plan(outcome.plan))


def apply_asked(invocation: Invocation, reporter: Reporter, asked: Request, nothing: str | None = None) -> Outcome:
    """Runs inside a report that is under way, and says how it ended."""
    outcome = api.apply(asked, reporter.journal.command)
    reporter.journal.plan = outcome.plan
    reporter.say(_last_words(invocation, reporter, outcome, nothing))
    if outcome.embedded:
        reporter.say(connect(invocation))
    return outcome


def follow_others(invocation: Invocation) -> int:
    """Waits until the declared state is reached by others."""
    with Reporter(invocation, "apply") as reporter:
        is_reached = api.follow(request(invocation, reporter.emit))
        reporter.say(f"reached: the database is as {invocation.file.name} declares" if is_reached else "went on")
    return ExitCode.DONE


def _last_words(invocation: Invocation, reporter: Reporter, outcome: Outcome, nothing: str | None) -> str:
    if outcome.applied:
        return reporter.journal.summary(outcome.seconds)
    if outcome.plan.pending:
        return "nothing left to do: " + ("; ".join(_found_unneeded(reporter, outcome.plan)) or "it was done meanwhile")
    if nothing:
        return nothing + "".join(_why_not(outcome.plan))
    if invocation.step or invocation.skip:
        return "nothing to do: no chosen step has changes" + "".join(_why_not(outcome.plan))
    return f"nothing to do: the database is as {invocation.file.name} declares"


def _found_unneeded(reporter: Reporter, plan: Plan) -> Iterator[str]:
    """What was pending, and had no changes at its turn under the lock, with the reason."""
    pending = {step.name for step in plan.steps if step.has_changes}
    for event in reporter.journal.steps:
        if isinstance(event, StepUnchanged) and event.step in pending:
            said = phrase(event)
            yield one_line(f"{event.step} is {said.text}" if said else event.step)


def _why_not(plan: Plan) -> Iterator[str]:
    """What `when` answered for steps that were asked for by their type or name."""
    for step in plan.steps:
        if step.state is State.SKIPPED and step.when is not None:
            yield f"; {step.name} is not needed: {step.when.reason}"


def connect(invocation: Invocation) -> str:
    """How to get at a server that only this folder knows."""
    again = invocation.again
    return f"connect: bootstrapper dev psql{again} · URL: bootstrapper dev url{again}"
