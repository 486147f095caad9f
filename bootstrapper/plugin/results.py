"""What the methods of a plugin must return: checked, with iterables made lists, before the engine relies on it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import sql

from bootstrapper.errors import Problem, Source
from bootstrapper.plans import (
    Action,
    Answer,
    Bounds,
    Change,
    ChangeLimits,
    Deferred,
    Finding,
    Hazard,
    HazardName,
    TableLock,
    Verdict,
)
from bootstrapper.plugin.check import Probe

Check = Callable[[Any], Any]
"""Returns the result as the engine uses it; raises WrongResultError for one of another type."""

_PLAIN = (str, int, float, Decimal, date, time, UUID)  # bool is an int, datetime a date


class WrongResultError(Exception):
    """A result of another type than the contract names; says which one it should be."""


def nothing(found: object) -> None:
    """Takes anything but work that nothing will start."""
    if inspect.iscoroutine(found):
        found.close()  # else Python warns that it was never awaited
        raise WrongResultError("is asynchronous, so nothing of it ran; write `def`, not `async def`")
    if inspect.isgenerator(found) or inspect.isawaitable(found):
        raise WrongResultError(f"returned {_named(found)}, so nothing of it ran; it must not yield")


def exactly(kind: type[Any], *, or_none: bool = False) -> Check:
    """Takes an instance of a type; fields of one of ours are checked, too."""
    wanted = f"{_a(kind)}{' or None' if or_none else ''}"

    def check(found: Any) -> Any:
        if found is not None or not or_none:
            _require(found, (kind,), wanted)
        return found

    return check


def listed(*kinds: type[Any], each: str = "") -> Check:
    """Takes any iterable of instances of these types, and makes it a list.

    Args:
        each: What such a list is one of.
    """
    wanted = f"{each}a list of {' and '.join(_plural(kinds))}"

    def check(found: Any) -> Any:
        _require_iterable(found, wanted)
        items = list(found)
        for number, item in enumerate(items, start=1):
            _require(item, kinds, wanted, number)
        return items

    return check


def parts(found: Any) -> Any:
    """Takes any iterable, or None, and makes it an iterator, whose items are checked as they are taken."""
    if found is None:
        return None
    _require_iterable(found, "parts, or None")
    return iter(found)


def _require_iterable(found: Any, wanted: str) -> None:
    _require(found, (Iterable,), wanted)
    if isinstance(found, str | bytes | Mapping):
        raise WrongResultError(f"returned {_named(found)}; it must return {wanted}")


def mapped(kind: type[Any]) -> Check:
    """Takes a mapping from text to instances of a type."""
    wanted = f"a mapping from text to {kind.__name__}"

    def check(found: Any) -> Any:
        _require(found, (Mapping,), wanted)
        for number, (key, item) in enumerate(found.items(), start=1):
            _require(key, (str,), wanted, number)
            _require(item, (kind,), wanted, number)
        return dict(found)

    return check


def plain(found: Any) -> Any:
    """Takes what a column or an option can hold: text, a number, a time, a UUID, None, and lists and mappings of it."""
    if isinstance(found, Mapping):
        return {key: plain(item) for key, item in found.items()}
    if isinstance(found, list | tuple):
        return [plain(item) for item in found]
    if found is not None:
        _require(found, _PLAIN, "text, a number, a date, a time, a UUID, None, or a list or mapping of these")
    return found


def _require(found: Any, kinds: tuple[type[Any], ...], wanted: str, number: int | None = None) -> None:
    """Raises WrongResultError for another type, or for one of our types with a wrong field.

    Args:
        number: The place in a list, from 1.
    """
    if inspect.iscoroutine(found):
        nothing(found)
    if not isinstance(found, kinds):
        at = f"a list whose item {number} is " if number else ""
        raise WrongResultError(f"returned {at}{_named(found)}; it must return {wanted}")
    for name, (right, is_right) in _FIELDS.get(type(found), {}).items():
        value = getattr(found, name)
        if not is_right(value):
            at = f" (item {number})" if number else ""
            said = f"returned {_a(type(found))}{at} whose {name} is {_described(value)}"
            raise WrongResultError(f"{said}; it must be {right}")


def _plural(kinds: Iterable[type[Any]]) -> list[str]:
    return ["texts" if kind is str else "paths" if kind is Path else kind.__name__ for kind in kinds]


def _a(kind: type[Any]) -> str:
    names = {str: "text", bool: "True or False"}
    name = kind.__name__
    return names.get(kind, f"{'an' if name[0] in 'AEIO' else 'a'} {name}")


def _named(found: object) -> str:
    """The type, and not the value, which may be a secret."""
    return "None" if found is None else type(found).__name__


def _described(value: object) -> str:
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        odd = next((key for key, item in value.items() if item is not None and not isinstance(item, str)), None)
        if odd is not None:
            return f"a mapping with {_named(value[odd])} under {odd!r}"
    if isinstance(value, str) and not value:
        return "empty"
    if isinstance(value, tuple):
        return f"a tuple with {_named(next(item for item in value if not isinstance(item, str)))}"
    return _named(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _are_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, str) for item in value)


def _is_shown(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and (item is None or isinstance(item, str)) for key, item in value.items()
    )


def _are_actions(value: object) -> bool:
    return isinstance(value, frozenset) and all(isinstance(item, Action) for item in value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_limit(value: object) -> bool:
    return value is None or _is_count(value)


_TEXT = ("text", _is_text)
_NAME = ("text that is not empty", _is_name)
_TEXTS = ("a tuple of texts", _are_texts)
_SHOWN = ("a mapping from text to text or None", _is_shown)
_ACTIONS = ("a frozenset of actions", _are_actions)
_LIMIT = ("a whole number, 0 or more, or None", _is_limit)

_FIELDS: Mapping[type[Any], Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    Change: {
        "action": ("an Action", lambda value: isinstance(value, Action)),
        "target": _NAME,
        "reason": _TEXT,
        "before": _SHOWN,
        "after": _SHOWN,
        "unset": _TEXTS,
        "count": ("a whole number, 0 or more", _is_count),
        "digest": _TEXT,
        "origin": _TEXT,
        "sensitive": _TEXTS,
    },
    Deferred: {
        "needs": _NAME,
        "reason": _TEXT,
        "may": _ACTIONS,
        "at_most": _LIMIT,
        "unset": _TEXTS,
        "targets": _TEXTS,
        "after": _TEXTS,
    },
    Finding: {"target": _TEXT, "message": _NAME, "remedy": _TEXT},
    Hazard: {
        "name": ("a HazardName", lambda value: isinstance(value, HazardName)),
        "target": _NAME,
        "message": _NAME,
        "remedy": _TEXT,
        "place": _TEXT,
        "allowed": ("True, False or None", lambda value: value is None or isinstance(value, bool)),
    },
    TableLock: {"relation": _NAME, "mode": _NAME, "target": _NAME, "place": _TEXT},
    Problem: {
        "message": _NAME,
        "source": ("a Source or None", lambda value: value is None or isinstance(value, Source)),
        "hint": ("text or None", lambda value: value is None or isinstance(value, str)),
    },
    Answer: {"verdict": ("a Verdict", lambda value: isinstance(value, Verdict)), "reason": _TEXT},
    Bounds: {"may": _ACTIONS, "at_most": _LIMIT},
    ChangeLimits: {"deletes": _LIMIT, "updates": _LIMIT},
    Probe: {
        "statement": ("text or composed by psycopg.sql", lambda value: isinstance(value, str | sql.Composable)),
        "parameters": (
            "a sequence or a mapping",
            lambda value: isinstance(value, Sequence | Mapping) and not isinstance(value, str | bytes),
        ),
        "missing": ("an Answer or None", lambda value: value is None or isinstance(value, Answer)),
    },
}

CHANGES = listed(Change, Deferred)
PATHS = listed(Path)
TEXTS = listed(str)
FINDINGS = listed(Finding)
HAZARDS = listed(Hazard, TableLock)
PROBLEMS = listed(Problem)
PART = listed(Change, Deferred, each="parts, each ")
