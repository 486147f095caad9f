"""`dev snapshot`: saves and loads the database of the embedded server."""

from __future__ import annotations

from dataclasses import asdict

import click

from bootstrapper.api import snapshots
from bootstrapper.backups.snapshots import Snapshot
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.confirmation import require_yes
from bootstrapper.cli.groups import Group
from bootstrapper.cli.options import Invocation, refuse_empty, takes
from bootstrapper.cli.output import print_data, print_message, show_time
from bootstrapper.config.units import show_size
from bootstrapper.errors import ExitCode
from bootstrapper.text import counted, dumps

_SHARED = (*options.WHERE, *options.PRINTING)
_NAME = click.argument("name", metavar="NAME", callback=refuse_empty)


@click.group(cls=Group)
def snapshot() -> None:
    """Save the embedded server's database, and load it again."""


@snapshot.command()
@takes(_NAME, *_SHARED, click.option("--replace", is_flag=True, help="Replace an existing snapshot of this name."))
def save(invocation: Invocation, *, name: str, replace: bool) -> int:
    """Save a copy of the database, with its ledger.

    Other sessions of the database are terminated for the time of the copy, except those of a run, which is an error.
    Roles and other databases of the server are not part of it.
    """
    ended = snapshots.save(request(invocation), name, replaces=replace)
    _say(invocation, f"saved snapshot {name}{_terminated(ended)}")
    return ExitCode.DONE


@snapshot.command()
@takes(_NAME, *_SHARED, click.option("--yes", is_flag=True, help="Do not ask."))
def load(invocation: Invocation, *, name: str, yes: bool) -> int:
    """Replace the database by a snapshot, which is kept.

    Other sessions of the database are terminated, except those of a run, which is an error.
    """
    snapshots.require(request(invocation), name)
    question = f"Replace the database by snapshot {name}? Its present data is lost."
    require_yes(question, yes=yes, nothing="nothing was changed")
    ended = snapshots.load(request(invocation), name)
    _say(invocation, f"loaded snapshot {name}{_terminated(ended)}")
    return ExitCode.DONE


@snapshot.command(name="list")
@takes(*options.WHERE, options.data_format, *options.PRINTING)
def list_(invocation: Invocation) -> int:
    """List the snapshots."""
    found = snapshots.listed(request(invocation))
    print_data(dumps([asdict(each) for each in found]) if invocation.format == "json" else _text(found))
    return ExitCode.DONE


@snapshot.command()
@takes(_NAME, *_SHARED)
def remove(invocation: Invocation, *, name: str) -> int:
    """Remove a snapshot."""
    snapshots.remove(request(invocation), name)
    _say(invocation, f"removed snapshot {name}")
    return ExitCode.DONE


def _text(found: list[Snapshot]) -> str:
    if not found:
        return "no snapshots"
    width = max(len(each.name) for each in found)
    times = [show_time(each.saved_at) if each.saved_at is not None else "unknown" for each in found]
    return "\n".join(
        f"{each.name:<{width}}  {time}  {show_size(each.size)}" for each, time in zip(found, times, strict=True)
    )


def _terminated(count: int) -> str:
    return f"; {counted(count, 'session')} terminated" if count else ""


def _say(invocation: Invocation, text: str) -> None:
    if not invocation.quiet and invocation.log_format == "text":
        print_message(text)
