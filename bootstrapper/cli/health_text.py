"""What `status --health` prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from bootstrapper.cli.output import wrapped
from bootstrapper.config.units import show_seconds
from bootstrapper.migrations.interrupted.invalid_objects import InvalidObject
from bootstrapper.postgres.health import BlockedSession, Health, LongTransaction
from bootstrapper.text import counted, cut, listed, one_line

_LONGEST_STATEMENT = 200


def lines(health: Health, invalid: Sequence[InvalidObject]) -> Iterator[str]:
    yield f"connections: {health.connections} of {health.limit}"
    if health.hidden_sessions:
        are = "is" if health.hidden_sessions == 1 else "are"
        sessions = counted(health.hidden_sessions, "session")
        yield f"{sessions} of other roles {are} hidden: grant pg_read_all_stats"
    none = "none that this role can see" if health.hidden_sessions else "none"
    yield from _section("long transactions", map(_long, health.long_transactions), none)
    yield from _section("blocked sessions", map(_blocked, health.blocked))
    yield from _section("invalid objects", (f"{each.kind} {each.name} {each.reason}" for each in invalid))
    near = (
        f"{each.name}: {each.last_value:,} of {each.end:,} ({each.last_value / each.end:.0%})"
        for each in health.sequences
    )
    yield from _section("sequences near their end", near)
    if health.slowest is None:
        yield "slowest statements: unknown, pg_stat_statements is not available"
    else:
        slow = (
            f"{show_seconds(each.mean_seconds)} on average, {each.calls:,} calls: {_statement(each.statement)}"
            for each in health.slowest
        )
        yield from _section("slowest statements", slow)


def as_data(health: Health, invalid: Sequence[InvalidObject]) -> dict[str, object]:
    """Returns the same facts as data."""
    return {**asdict(health), "invalid_objects": [asdict(each) for each in invalid]}


def _section(title: str, found: Iterable[str], none: str = "none") -> Iterator[str]:
    shown = [line for each in found for line in wrapped(f"  {one_line(each)}", hang=4)]
    yield from (f"{title}:", *shown) if shown else (f"{title}: {none}",)


def _long(each: LongTransaction) -> str:
    facts = [_process(each.pid, each.role), *filter(None, (each.application, each.state)), show_seconds(each.seconds)]
    return f"{', '.join(facts)}: {_statement(each.statement)}"


def _blocked(each: BlockedSession) -> str:
    holders = [f"process {pid}" if pid else "a prepared transaction" for pid in each.blocked_by]
    seconds = f", {show_seconds(each.seconds)}" if each.seconds is not None else ""
    waits = f"waits for {listed(holders or ['a lock'])}"
    return f"{_process(each.pid, each.role)} {waits}{seconds}: {_statement(each.statement)}"


def _process(pid: int, role: str | None) -> str:
    return f"process {pid}" + (f" of role {role}" if role else "")


def _statement(text: str) -> str:
    return cut(text, _LONGEST_STATEMENT)
