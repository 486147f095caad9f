"""`plugins`: lists the installed plugins with what they add, and writes the first file of a new one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from bootstrapper.api import new_plugin as writing
from bootstrapper.api import project
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.groups import Group
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data, wrapped
from bootstrapper.cli.reporter import Reporter
from bootstrapper.engine.plugin_registry import PluginInfo
from bootstrapper.errors import ExitCode
from bootstrapper.text import dumps, one_line

_INDENT = " " * 4
_KIND = len("renderers") + 1


@click.group(cls=Group)
def plugins() -> None:
    """List the installed plugins, or begin a new one."""


@plugins.command("list")
@takes(*options.WHERE, options.data_format, *options.PRINTING)
def list_plugins(invocation: Invocation) -> int:
    """List plugins with their steps, checks, values, renderers and hooks.

    Shows of each plugin its file, or its distribution with its version, and why it could not be loaded: then the exit
    code is 2. Installed plugins that the file does not list are shown, and not imported.
    """
    found = project.plugins(request(invocation))
    if invocation.format == "json":
        print_data(dumps([asdict(info) for info in found]))
    else:
        print_data("\n".join(line for info in found for line in _lines(info)))
    return ExitCode.CONFIG if any(info.failure for info in found) else ExitCode.DONE


@plugins.command("new")
@click.argument("name")
@click.option("--package", is_flag=True, help="Write a distribution with its tests, in a new folder.")
@takes(*options.WHERE, *options.PRINTING)
def new_plugin(invocation: Invocation, *, name: str, package: bool) -> int:
    """Write a new plugin, with a step that works.

    Writes NAME.py into the first folder of plugins that the file lists, or else into `plugins` beside the file. With
    --package, writes the folder bootstrapper-NAME here: an entry point, a package, tests by the kit, and a README. An
    existing file is never replaced.
    """
    with Reporter(invocation, "plugins new") as reporter:
        made = writing.new_distribution(name, Path()) if package else writing.new_file(request(invocation), name)
        for path in made.files:
            reporter.say(f"wrote {path}")
        if made.listing is not None:
            reporter.say(f"List it in {invocation.file}: plugins: [{made.listing}]")
    return ExitCode.DONE


def _lines(info: PluginInfo) -> Iterator[str]:
    state = "" if info.listed else ": installed but not imported, as it is not listed under plugins:"
    state = ": failed to load" if info.failure is not None else state
    version = f" {info.version}" if info.version else ""
    yield from wrapped(one_line(f"{info.name}{version} ({info.origin}){state}"), hang=len(_INDENT))
    for text in filter(None, (info.failure, info.hint and f"hint: {info.hint}")):
        yield from wrapped(f"{_INDENT}{one_line(text)}", hang=len(_INDENT))
    brought = {"steps": info.steps, "checks": info.checks, "values": info.values, "renderers": info.renderers}
    brought |= {"hooks": info.hooks}
    for kind, names in brought.items():
        if names:
            yield from wrapped(f"{_INDENT}{kind:<{_KIND}} {', '.join(names)}", hang=len(_INDENT) + _KIND + 1)
