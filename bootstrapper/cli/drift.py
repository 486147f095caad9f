"""`drift`: prints how the schema differs from what the revisions build."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from bootstrapper.api import drift as drifting
from bootstrapper.api.drift import Drift
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data, wrapped
from bootstrapper.cli.reporter import Reporter
from bootstrapper.errors import ExitCode
from bootstrapper.text import counted, dumps, listed, one_line

_GLYPHS = {"added": "+", "changed": "~", "dropped": "-"}


@click.command()
@takes(
    *options.WHERE,
    options.timeout,
    options.data_format,
    *options.RUNNING,
    click.option("--exit-code", is_flag=True, help="Exit with 4 if the schema differs, else with 0."),
)
def drift(invocation: Invocation, *, exit_code: bool) -> int:
    """Show how the schema differs from what the migrations build.

    Builds the revisions that the database is at in a scratch database of the same server, and compares all objects.
    Changes nothing in the database; the role needs CREATEDB.
    """
    with Reporter(invocation, "drift") as reporter:
        found = drifting.drift(request(invocation, reporter.emit))
        reporter.before_data()
        text = _json(found) if invocation.format == "json" else "\n".join(_text(found))
        print_data(invocation.masker.mask(text))
    return ExitCode.PENDING if exit_code and found.differences else ExitCode.DONE


def _text(found: Drift) -> Iterator[str]:
    for each in found.differences:
        detail = f": {one_line(each.detail)}" if each.detail else ""
        yield from wrapped(f"{_GLYPHS[each.kind]} {one_line(each.name)}{detail}", hang=4)
    revisions = f"revision {one_line(listed(found.revisions))}"
    if not found.differences:
        yield f"no drift: the schema is that of {revisions}"
        return
    counts = {kind: sum(each.kind == kind for each in found.differences) for kind in _GLYPHS}
    parts = [f"{number} {kind}" for kind, number in counts.items() if number]
    yield f"{counted(len(found.differences), 'difference')} from {revisions}: {', '.join(parts)}."


def _json(found: Drift) -> str:
    return dumps(asdict(found))
