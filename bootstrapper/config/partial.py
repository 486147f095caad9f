"""A configuration with stand-ins for the invalid parts of a file, so that the rest can be checked.

It is never run: the problems are raised in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from bootstrapper.config.document import Place
from bootstrapper.config.models import Config

UNKNOWN = "__unknown__"
"""Stands for what the file leaves out, such as the type of a step."""

_STEP: dict[str, Any] = {"uses": UNKNOWN}
_STANDINS: dict[str, Any] = {"version": 1, "database": {}, "steps": [_STEP]}


def makeshift(raw: dict[str, Any]) -> tuple[Config, frozenset[Place]]:
    """Returns the configuration, and the places where something was left out of it or put in."""
    changed: set[Place] = set()
    while True:
        try:
            return Config.model_validate(raw), frozenset(changed)
        except ValidationError as error:
            places = {_place(raw, details["loc"]) for details in error.errors()}
            if places <= changed:  # no stand-in helps here
                return Config.model_validate(_STANDINS), frozenset({*changed, ("steps",), ("fixtures",)})
            for place in places:
                raw = _mended(raw, place, ())
            changed |= places


def _place(raw: Any, location: Sequence[str | int]) -> Place:
    """Returns the part of an error's location that can be fixed: down to a key of a step, fixture or section."""
    place: Place = ()
    for part in location[:3]:
        if not isinstance(raw, dict | list):
            break
        place = (*place, part)
        raw = raw.get(part) if isinstance(raw, dict) else raw[int(part)]
    return place


def _mended(raw: Any, place: Place, above: Place) -> Any:
    """Returns the data with a stand-in at the place, or without it where it may be left out."""
    head, rest = place[0], place[1:]
    here = (*above, head)
    if isinstance(raw, list):
        return [_mended_item(item, rest, here) if number == head else item for number, item in enumerate(raw)]
    kept = {key: item for key, item in raw.items() if key != head}
    if rest and head in raw:
        return {**kept, head: _mended(raw[head], rest, here)}
    return {**kept, **_standin(here)}


def _mended_item(item: Any, rest: Place, here: Place) -> Any:
    if rest:
        return _mended(item, rest, here)
    return dict(_STEP) if here[0] == "steps" else UNKNOWN


def _standin(place: Place) -> dict[str, Any]:
    """Returns the stand-in for a required key; empty for an optional one."""
    key = str(place[-1])
    if len(place) == 1:
        return {key: _STANDINS[key]} if key in _STANDINS else {}
    if place[0] == "steps":
        return {key: UNKNOWN} if key == "uses" else {}
    return {key: [UNKNOWN]} if (place[0], len(place), key) == ("fixtures", 3, "key") else {}
