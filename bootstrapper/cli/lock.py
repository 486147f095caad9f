"""`lock`: shows who holds the lock, and breaks it."""

from __future__ import annotations

import re
from dataclasses import asdict

import click

from bootstrapper.api import locking
from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.groups import Group
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import print_data, show_time
from bootstrapper.cli.reporter import Reporter
from bootstrapper.config.units import show_seconds
from bootstrapper.errors import ExitCode
from bootstrapper.postgres.ledger.run_ids import SHORTEST_END
from bootstrapper.postgres.lock.lockstate import HIDDEN, LockState
from bootstrapper.text import counted, dumps, one_line


@click.group(cls=Group)
def lock() -> None:
    """Show who holds the lock, or break it."""


@lock.command()
@takes(*options.WHERE, options.timeout, options.data_format, *options.PRINTING)
def show(invocation: Invocation) -> int:
    """Show who holds the lock, since when, and what waits for it."""
    with Reporter(invocation, "lock show") as reporter:
        state = locking.lock_state(request(invocation, reporter.emit))
        reporter.before_data()
        print_data(_json(state) if invocation.format == "json" else _text(state))
    return ExitCode.DONE


def _digits(context: click.Context, parameter: click.Parameter, text: str) -> str:
    if not re.fullmatch(rf"[0-9A-Fa-f-]{{{SHORTEST_END},36}}", text):
        message = f"must be the id of a run, or at least its last {SHORTEST_END} digits"
        raise click.BadParameter(message, context, parameter)
    return text


@lock.command(name="break")
@click.argument("run_id", callback=_digits)
@takes(*options.WHERE, options.timeout, *options.PRINTING)
def break_(invocation: Invocation, *, run_id: str) -> int:
    """Take the lock from run RUN_ID: its id, or the end of it.

    Terminates the connections of the run, so that its open transactions roll back. If the run is still alive, it is
    fenced off and cannot write any more. Programs that it started (command and backup steps) are not stopped.
    """
    with Reporter(invocation, "lock break") as reporter:
        state = locking.break_lock(request(invocation, reporter.emit), run_id)
        reporter.say(f"broken: the lock was held by run {state.run_id} (host {state.host}, process {state.pid})")
    return ExitCode.DONE


def _json(state: LockState | None) -> str:
    return dumps({"holder": asdict(state) if state else None})


def _text(state: LockState | None) -> str:
    if state is None:
        return "free"
    facts = {
        "run": str(state.run_id),
        "host": state.host,
        "process": str(state.pid),
        "step": state.step or "between steps",
        "since": show_time(state.since),
        "mode": state.mode,
        "connection": _connection(state),
        "lease": _lease(state),
        "blocked": counted(len(state.blocked), "query", "queries"),
    }
    lines = [f"{name:<11} {one_line(fact)}" for name, fact in facts.items()]
    waiting = [
        f"  {query.pid}  {one_line(query.application_name)}  {show_seconds(query.seconds or 0)}"
        f"  {one_line(query.query)}"
        for query in state.blocked
    ]
    return "\n".join([*lines, *waiting])


def _connection(state: LockState) -> str:
    if state.mode == "pooled":
        return "through a pooler, state unknown"
    if state.connection == HIDDEN:
        return "unknown (needs pg_read_all_stats)"
    if state.connection is not None:
        return state.connection
    if state.in_transaction:
        return "lost: the next run takes over when its transaction ends"
    has_lease = state.lease_seconds is not None and state.lease_seconds > 0
    return "lost: the next run takes over" + (" when the lease expires" if has_lease else "")


def _lease(state: LockState) -> str:
    if state.lease_seconds is None:
        return "none: the connection holds the lock"
    if state.in_transaction:
        return "none needed: a transaction of the run is open, and no other run takes over before it ends"
    if state.lease_seconds < 0:
        return (
            f"expired {show_seconds(-state.lease_seconds)} ago: the next run takes over between two of its transactions"
        )
    return f"{show_seconds(state.lease_seconds)} left"
