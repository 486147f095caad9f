"""`fleet`: does the targets of the file's section `fleet`, each as an ordinary command would."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

import click

from bootstrapper import cli
from bootstrapper.api import project
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.fleet_text import plans_json, plans_text, status_html, status_json, status_markdown, status_text
from bootstrapper.cli.fleet_view import FleetView
from bootstrapper.cli.groups import Group
from bootstrapper.cli.options import Invocation, Option, takes
from bootstrapper.cli.output import columns, print_data
from bootstrapper.errors import ExitCode, UsageError
from bootstrapper.fleet import contract, coordinator, survey
from bootstrapper.fleet.asked import Asked, load_fleet, target_named
from bootstrapper.masking import Masker


def _shard(context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    number, slash, count = text.partition("/")
    if not (slash and number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
        raise click.BadParameter("expected I/N, such as 0/4", context, option)
    if not int(number) < int(count):
        raise click.BadParameter(f"parts count from 0: the last one is {int(count) - 1}/{count}", context, option)
    return int(number), int(count)


class _Chosen(TypedDict):
    """Options that all commands have: which targets, and by which processes."""

    patterns: tuple[str, ...]
    shard: tuple[int, int] | None
    scheduler: str | None
    dashboard: bool


_TARGET: Option = click.option(
    "--target", "patterns", multiple=True, metavar="PATTERN", help="Only targets of such names, as acme-*; repeatable."
)
_SHARD: Option = click.option(
    "--shard", metavar="I/N", callback=_shard, help="Only the part I of N, from 0; done by this machine, without Dask."
)
_SCHEDULER: Option = click.option(
    "--scheduler", metavar="ADDRESS", help="A Dask scheduler, such as tls://host:8786; else a cluster of this machine."
)
_DASHBOARD: Option = click.option("--dashboard", is_flag=True, help="Serve Dask's dashboard on 127.0.0.1:8787.")
_WHERE = (*options.WHERE, options.timeout_each, _TARGET, _SHARD, _SCHEDULER, _DASHBOARD)


@click.group(cls=Group)
def fleet() -> None:
    """Do many databases or schemas from one file."""


@fleet.command()
@takes(
    *_WHERE,
    options.data_format,
    options.full,
    options.allow,
    options.file_option(
        "--out",
        "Save the plans of all targets to FILE, for `fleet apply FILE`; signed if BOOTSTRAPPER_PLAN_KEY is set.",
    ),
    options.overwrite,
    *options.PRINTING,
)
def plan(invocation: Invocation, *, out: Path | None, **chosen: Unpack[_Chosen]) -> int:
    """Show what apply would change, one plan for all alike.

    Every target is looked at in a READ ONLY transaction. Plans are alike if they differ in the variables of their
    targets alone. Exits with 1 if a target could not be planned; if none could, nothing is saved.
    """
    asked = _asked(invocation, **chosen)
    with FleetView(invocation, sys.stderr) as view:
        found = survey.plan(asked, view, out)
    renderer = project.renderer(asked.request, "text", columns(), is_full=invocation.full)
    shown = plans_json(found) if invocation.format == "json" else plans_text(found, renderer)
    print_data(invocation.masker.mask(shown))
    if found.saved is not None:
        how = "signed" if asked.request.plan_key else "not signed"
        view.say(f"saved to {out} ({how}, digest {found.saved[:12]}); to make exactly these changes:")
        view.say(f"  bootstrapper fleet apply {out}{invocation.again}")
    elif out is not None:
        view.say(f"{out} was not written: no target could be planned")
    return ExitCode.FAILED if found.failed or found.unreachable else ExitCode.DONE


@fleet.command()
@takes(
    *_WHERE,
    click.option(
        "--format",
        type=click.Choice(["text", "json", "markdown", "html"]),
        default="text",
        show_default=True,
        help="Format of the output; html is a page with a grid of all targets.",
    ),
    options.full,
    click.option("--exit-code", is_flag=True, help="Exit with 4 if a target is not at head, else with 0."),
    *options.PRINTING,
)
def status(invocation: Invocation, *, exit_code: bool, **chosen: Unpack[_Chosen]) -> int:
    """Show which targets are at head, behind, drifted or failed.

    Every target is asked once; nothing is waited for, and nothing is written.
    """
    with FleetView(invocation, sys.stderr) as view:
        found = survey.status(_asked(invocation, **chosen), view)
    form, is_full = invocation.format, invocation.full
    if form == "json":
        shown = status_json(found)
    elif form == "markdown":
        shown = status_markdown(found, is_full=is_full)
    else:
        shown = status_html(found) if form == "html" else status_text(found, is_full=is_full)
    print_data(invocation.masker.mask(shown))
    return ExitCode.PENDING if exit_code and found.states["head"] < len(found.targets) else ExitCode.DONE


@fleet.command()
@click.argument("plan", metavar="[PLAN]", required=False, type=click.Path(dir_okay=False, path_type=Path))
@takes(
    *_WHERE,
    click.option("--wave", metavar="NAME", help="Only this wave."),
    options.allow,
    options.file_option("--report", "Write a JSON line for each target to FILE."),
    options.file_option(
        "--resume",
        "Continue the run of that report, and its report; neither waits after its waves nor asks again.",
        metavar="REPORT",
    ),
    options.overwrite,
    *options.PRINTING,
)
def apply(
    invocation: Invocation,
    *,
    plan: Path | None,
    wave: str | None,
    resume: Path | None,
    **chosen: Unpack[_Chosen],
) -> int:
    """Bring all targets to the declared state, wave after wave.

    With PLAN, a file of `fleet plan --out FILE`, exactly its changes are made; targets that are not in it are left
    alone.

    A target whose database or lock is not available is tried again. If more targets of a wave fail than the budget
    tolerates, nothing more is started, and what runs is finished. Exits with 1 if any target failed, or is in PLAN and
    not listed any more.
    """
    if resume is not None and invocation.report is not None:
        raise UsageError("--resume cannot be combined with --report: it continues that report", hint="Omit one.")
    asked = _asked(invocation, **chosen)
    asked = replace(asked, wave=wave, report=resume or invocation.report, resumes=resume is not None)
    if plan is not None:
        planned = contract.read(plan, asked.request.plan_key)
        environment = asked.request.environment or planned.environment
        asked = replace(asked, request=replace(asked.request, environment=environment), plan=planned)
    with FleetView(invocation, sys.stderr) as view:
        done = coordinator.apply(asked, view)
    return ExitCode.FAILED if done.failed or done.left or done.unlisted or done.list_error else ExitCode.DONE


@fleet.command("run", context_settings={"ignore_unknown_options": True})
@options.file
@options.environment
@click.argument("target", callback=options.refuse_empty)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def run_command(masker: Masker, *, file: Path, environment: str | None, target: str, command: tuple[str, ...]) -> int:
    """Run another command of bootstrapper for one target.

    COMMAND is that command with its options, such as: fleet run acme -- history --last 3
    """
    if command[0] == fleet.name:
        raise UsageError("a command for one target cannot be one of the fleet")
    invocation = Invocation(file=file, environment=environment, masker=masker)
    found = target_named(load_fleet(Asked(request=request(invocation))), target)
    chosen = {} if environment is None else {options.ENVIRONMENT_VARIABLE: environment}
    os.environ.update({**found.of_request, options.FILE_VARIABLE: str(file), **chosen})
    return cli.main(command)


def _asked(
    invocation: Invocation,
    *,
    patterns: tuple[str, ...],
    shard: tuple[int, int] | None,
    scheduler: str | None,
    dashboard: bool,
) -> Asked:
    if shard is not None:
        others = {"--scheduler": scheduler, "--dashboard": dashboard}
        options.refuse_beside("--shard", others, "a part is done without Dask")
    return Asked(
        request=request(invocation),
        patterns=patterns,
        shard=shard,
        scheduler=scheduler,
        dashboard=dashboard,
        overwrite=invocation.overwrite,
    )
