"""`lock show` and `lock break`: who holds the lock, and what to do about one who does not come back."""

from __future__ import annotations

import re
from dataclasses import asdict

import click

from bootstrapper import api, jsontext, wording
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.groups import Group
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data
from bootstrapper.cli.reporter import Reporter
from bootstrapper.errors import ExitCode
from bootstrapper.identifiers import SHORTEST_END
from bootstrapper.postgres.lockstate import LockState
from bootstrapper.units import show_seconds


@click.group(cls=Group)
def lock() -> None:
    """Look at the lock, or break it."""


@lock.command()
@takes(*options.WHERE, options.timeout, options.data_format, *options.PRINTING)
def show(invocation: Invocation) -> int:
    """Show who holds the lock, since when, and which queries wait for it."""
    with Reporter(invocation, "lock show") as reporter:
        state = api.lock_state(request(invocation, reporter.emit))
        reporter.make_way_for_data()
        print_data(_json(state) if invocation.format == "json" else _text(state))
    return ExitCode.DONE


def _digits(context: click.Context, parameter: click.Parameter, text: str) -> str:
    if not re.fullmatch(rf"[0-9A-Fa-f-]{{{SHORTEST_END},36}}", text):
        message = f"takes the id of a run, or at least {SHORTEST_END} digits from its end"
        raise click.BadParameter(message, context, parameter)
    return text


@lock.command(name="break")
@click.argument("run_id", callback=_digits)
@takes(*options.WHERE, options.timeout, *options.PRINTING)
def break_(invocation: Invocation, *, run_id: str) -> int:
    """Take the lock away from run RUN_ID: its id, or the end of it.

    Its connections are ended and what they had open is rolled back; should it still live, it is fenced off and writes
    nothing more. Programs that it started (command and backup steps) are not reached from here.
    """
    with Reporter(invocation, "lock break") as reporter:
        state = api.break_lock(request(invocation, reporter.emit), run_id)
        reporter.say(f"broken: the lock was held by run {state.run_id} (host {state.host}, process {state.pid})")
    return ExitCode.DONE


def _json(state: LockState | None) -> str:
    return jsontext.dumps({"holder": asdict(state) if state else None})


def _text(state: LockState | None) -> str:
    if state is None:
        return "free"
    facts = {
        "run": str(state.run_id),
        "host": state.host,
        "process": str(state.pid),
        "step": state.step or "between steps",
        "since": f"{state.since:%Y-%m-%d %H:%M:%S %Z}",
        "mode": state.mode,
        "connection": _connection(state),
        "lease": _lease(state),
        "blocked": wording.counted(len(state.blocked), "query", "queries"),
    }
    lines = [f"{name:<11} {wording.one_line(fact)}" for name, fact in facts.items()]
    waiting = [
        f"  {query.pid}  {wording.one_line(query.application_name)}  {show_seconds(query.seconds or 0)}"
        f"  {wording.one_line(query.query)}"
        for query in state.blocked
    ]
    return "\n".join([*lines, *waiting])


def _connection(state: LockState) -> str:
    if state.mode == "pooled":
        return "through a pooler, not to be seen from here"
    if state.connection is not None:
        return state.connection
    has_lease = state.lease_seconds is not None and state.lease_seconds > 0
    return "gone: the next run takes over" + (" when its lease is over" if has_lease else "")


def _lease(state: LockState) -> str:
    if state.lease_seconds is None:
        return "none needed: the connection holds the lock"
    if state.lease_seconds < 0:
        return f"over for {show_seconds(-state.lease_seconds)}: the next run takes over between two transactions of it"
    return f"{show_seconds(state.lease_seconds)} left"
