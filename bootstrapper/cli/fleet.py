"""`fleet`: does the targets of the file's section `fleet`, each as an ordinary command would."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.fleet_view import FleetView, failure_table, summary_line
from bootstrapper.cli.groups import Group
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.errors import ExitCode, UsageError
from bootstrapper.fleet import coordinator
from bootstrapper.fleet.coordinator import Asked


def _shard(context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    number, slash, count = text.partition("/")
    if not (slash and number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
        raise click.BadParameter("expected I/N, such as 0/4", context, option)
    if not int(number) < int(count):
        raise click.BadParameter(f"parts count from 0: the last one is {int(count) - 1}/{count}", context, option)
    return int(number), int(count)


_Option = Callable[[Callable[..., Any]], Callable[..., Any]]
_TARGET: _Option = click.option(
    "--target", "patterns", multiple=True, metavar="PATTERN", help="Only targets of such names, as acme-*; repeatable."
)
_SHARD: _Option = click.option(
    "--shard", metavar="I/N", callback=_shard, help="Only the part I of N, from 0; done by this machine, without Dask."
)
_SCHEDULER: _Option = click.option(
    "--scheduler", metavar="ADDRESS", help="A Dask scheduler, such as tls://host:8786; else a cluster of this machine."
)
_DASHBOARD: _Option = click.option("--dashboard", is_flag=True, help="Serve Dask's dashboard on 127.0.0.1:8787.")
_WHERE = (*options.WHERE, options.timeout, _TARGET, _SHARD, _SCHEDULER, _DASHBOARD)


@click.group(cls=Group)
def fleet() -> None:
    """Do many databases or schemas from one file."""


@fleet.command()
@takes(
    *_WHERE,
    click.option("--wave", metavar="NAME", help="Only this wave."),
    options.allow,
    click.option(
        "--report",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write a JSON line for each target to FILE.",
    ),
    click.option(
        "--resume",
        metavar="REPORT",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Continue the run of that report, and its report; neither waits after its waves nor asks again.",
    ),
    options.overwrite,
    *options.PRINTING,
)
def apply(
    invocation: Invocation,
    *,
    patterns: tuple[str, ...],
    shard: tuple[int, int] | None,
    scheduler: str | None,
    dashboard: bool,
    wave: str | None,
    resume: Path | None,
) -> int:
    """Bring all targets to the declared state, wave after wave.

    A target whose database or lock is not available is tried again. If more targets of a wave fail than the budget
    tolerates, nothing more is started, and what runs is finished. Exits with 1 if any target failed.
    """
    if resume is not None and invocation.report is not None:
        raise UsageError("--resume cannot be combined with --report: it continues that report", hint="Omit one.")
    _refuse_cluster(shard, scheduler, dashboard=dashboard)
    asked = Asked(
        request=request(invocation),
        patterns=patterns,
        wave=wave,
        shard=shard,
        scheduler=scheduler,
        dashboard=dashboard,
        report=resume or invocation.report,
        resumes=resume is not None,
        overwrite=invocation.overwrite,
    )
    with FleetView(invocation, sys.stderr) as view:
        done = coordinator.apply(asked, view)
    for line in failure_table(done):
        view.say(line)
    view.say(summary_line(done))
    return ExitCode.FAILED if done.failed or done.left else ExitCode.DONE


def _refuse_cluster(shard: tuple[int, int] | None, scheduler: str | None, *, dashboard: bool) -> None:
    if shard is not None:
        others = {"--scheduler": scheduler, "--dashboard": dashboard}
        options.refuse_beside("--shard", others, "a part is done without Dask")
