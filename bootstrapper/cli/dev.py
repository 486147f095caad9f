"""`dev`: starts, stops and removes the embedded server of `database.url: embedded:FOLDER`."""

from __future__ import annotations

import os

import click

from bootstrapper.api import project
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.confirmation import require_yes
from bootstrapper.cli.dev_snapshot import snapshot
from bootstrapper.cli.groups import Group
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import give_back_stdout, print_data, print_message
from bootstrapper.errors import EmbeddedServerError, ExitCode
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server.embedded import EmbeddedServer

_SHARED = (*options.WHERE, *options.PRINTING)


@click.group(cls=Group)
def dev() -> None:
    """Manage the embedded server."""


@dev.command()
@takes(*_SHARED)
def start(invocation: Invocation) -> int:
    """Start the server; it runs until `dev stop`."""
    target = _server(invocation).start()
    invocation.masker.learn(target.password)
    _say(invocation, f"server running at {target.where}")
    return ExitCode.DONE


@dev.command()
@takes(*_SHARED)
def stop(invocation: Invocation) -> int:
    """Stop the server; its data is kept."""
    server = _server(invocation)
    was_running = server.is_running
    server.stop()
    _say(invocation, "server stopped" if was_running else "server was not running")
    return ExitCode.DONE


@dev.command()
@takes(*_SHARED)
def url(invocation: Invocation) -> int:
    """Print the URL of the server, with the password."""
    print_data(_running(invocation).url())
    return ExitCode.DONE


@dev.command(context_settings={"ignore_unknown_options": True})
@takes(*_SHARED, click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- PSQL OPTIONS]"))
def psql(invocation: Invocation, *, arguments: tuple[str, ...]) -> int:
    """Open psql; arguments after `--` are passed to it."""
    target = _running(invocation)
    program = _server(invocation).psql()
    give_back_stdout()
    os.execvpe(program, [str(program), *arguments], {**invocation.variables, **target.client_environment()})  # noqa: S606


@dev.command()
@takes(*_SHARED, click.option("--yes", is_flag=True, help="Do not ask."))
def reset(invocation: Invocation, *, yes: bool) -> int:
    """Remove the server and all its data, snapshots included."""
    server = _server(invocation)
    if not server.exists:
        _say(invocation, "nothing to remove: the server does not exist")
        return ExitCode.DONE
    require_yes(f"Remove {server.folder} and all its data, snapshots included?", yes=yes, nothing="nothing was removed")
    server.reset()
    _say(invocation, f"removed {server.folder}")
    return ExitCode.DONE


dev.add_command(snapshot)


def _server(invocation: Invocation) -> EmbeddedServer:
    return project.embedded_server(request(invocation))


def _running(invocation: Invocation) -> Target:
    target = _server(invocation).target()
    if target is None:
        hint = f"Start it with `bootstrapper dev start{invocation.again}`."
        raise EmbeddedServerError("not running", hint=hint)
    invocation.masker.learn(target.password)
    return target


def _say(invocation: Invocation, text: str) -> None:
    if not invocation.quiet and invocation.log_format == "text":
        print_message(text)
