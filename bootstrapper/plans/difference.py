"""The first difference between a step as it was planned and as it would be done now."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from bootstrapper.plans.changes import SQL, Action, Change
from bootstrapper.plans.plan import PlannedStep
from bootstrapper.text import counted, one_line, value

_Place = tuple[str, str]


def first_difference(planned: PlannedStep, now: PlannedStep) -> str | None:
    """Returns what the first change differs in, such as a column; None if the same changes would be made."""
    return next(_differences(planned.changes, now.changes), None)


def _differences(planned: Iterable[Change], now: Iterable[Change]) -> Iterator[str]:
    left: dict[tuple[Action, _Place], deque[Change]] = {}
    for change in now:  # several may read alike: keys NULL and "NULL", two masked ones, the jobs of a plugin
        left.setdefault((change.action, _place(change)), deque()).append(change)
    others = {place: alike[0] for (_, place), alike in left.items()}
    for change in planned:
        alike = left.get((change.action, _place(change)))
        if alike:
            yield from _between(change, alike.popleft())
        else:
            yield _missing(change, others.get(_place(change)))
    for change in chain.from_iterable(left.values()):
        yield f"{done(change)} was not planned"


def _place(change: Change) -> _Place:
    return change.origin, change.target


def _missing(planned: Change, other: Change | None) -> str:
    if other is None or other.action is planned.action:
        return f"{done(planned)} was planned, but is not to be done now"
    return f"{done(planned)} was planned, but now it is to {other.action}"


def _between(planned: Change, now: Change) -> Iterator[str]:
    target = one_line(now.target)
    yield from _columns(target, planned.before, now.before, "is in the database")
    # Statements are shown on request only; the file they come from is among the inputs.
    after = {name: text for name, text in planned.after.items() if name != SQL or name in now.after}
    yield from _columns(target, after, now.after, "is declared")
    if planned.count != now.count:
        yield f"{target}: {counted(now.count, 'row')}, and {planned.count:,} when planned"
    elif planned.digest != now.digest:
        yield f"{target}: other rows, or rows with other values, than when planned"
    elif planned.action is Action.DELETE and planned.reason != now.reason:  # it tells the rows that go along
        yield f"{done(now)}: {one_line(now.reason)}; when planned: {one_line(planned.reason)}"


def _columns(
    target: str, planned: Mapping[str, str | None], now: Mapping[str, str | None], where: str
) -> Iterator[str]:
    for name in dict.fromkeys((*planned, *now)):
        if name not in now:
            yield f"{target}: {one_line(name)} was to change when planned, and is not now"
        elif name not in planned:
            yield f"{target}: {one_line(name)} is to change now, and was not when planned"
        elif planned[name] != now[name]:
            was = value(planned[name])
            yield f"{target}: {one_line(name)} {where} as {value(now[name])}, and was {was} when planned"


def done(change: Change) -> str:
    """Returns the change as a noun: `update of users id=1`."""
    noun = {Action.CREATE: "creation", Action.UPDATE: "update", Action.DELETE: "deletion", Action.RUN: "run"}
    return f"{noun[change.action]} of {one_line(change.target)}"
