"""Rules of `fleet` across keys; those of a target hold wherever targets are listed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bootstrapper.config.document import Document, Place, validation
from bootstrapper.config.document.builder import show_key
from bootstrapper.errors import Problem, Source

REST = "rest"
"""The wave of the targets that no wave takes."""
NEW = "new"
"""The wave of the targets that are listed only after a run began."""
LONGEST_NAME = 200

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SOURCES = ("sql", "command", "file")
_CHOICES = ("where", "first", "share")


def target_fault(target: Mapping[str, Any]) -> str | None:
    """Returns what is wrong with a target, as a list of targets has it; None if nothing is."""
    name = target.get("name")
    if name is None or name == "":
        return "a target needs a name"
    if isinstance(name, bool) or len(str(name)) > LONGEST_NAME or not str(name).isprintable():
        return f"the name of a target must be text of up to {LONGEST_NAME} printable characters"
    wrong = next((key for key in target if not _VARIABLE.fullmatch(str(key))), None)
    if wrong is not None:
        return f"{show_key(str(wrong))} is not a valid name of a variable: use letters, digits and _"
    return None


def fleet_problems(fleet: Any, document: Document) -> Iterator[Problem]:
    """Yields the problems of the section, whose shape may still be wrong."""
    if not isinstance(fleet, dict):
        return
    targets, waves = fleet.get("targets"), fleet.get("waves")
    if isinstance(targets, list):
        yield from _listed(targets, document)
    elif isinstance(targets, dict):
        yield from _elsewhere(targets, document)
    yield from _waves(waves if isinstance(waves, list) else [], document)


def _listed(targets: list[Any], document: Document) -> Iterator[Problem]:
    first: dict[str, Source] = {}
    for number, target in enumerate(targets):
        place: Place = ("fleet", "targets", number)
        if not isinstance(target, dict):
            continue  # the model says so
        if fault := target_fault(target):
            yield Problem(fault, document.source(place))
            continue
        source, name = document.source((*place, "name")), str(target["name"])
        if name in first:
            yield Problem(f"duplicate target {show_key(name)}; first at {first[name]}", source)
        first.setdefault(name, source)


def _elsewhere(targets: dict[str, Any], document: Document) -> Iterator[Problem]:
    place: Place = ("fleet", "targets")
    given = [key for key in _SOURCES if targets.get(key) is not None]
    if len(given) != 1:
        found = f"has {' and '.join(given)}" if given else "has none of them"
        yield Problem(f"fleet.targets needs sql, command or file; it {found}", document.key_source(place))
    if "sql" in given and targets.get("url") is None:
        yield Problem("fleet.targets: sql needs url, the database that it asks", document.key_source((*place, "sql")))
    if "sql" not in given and targets.get("url") is not None:
        yield Problem("fleet.targets: url is for sql alone", document.key_source((*place, "url")), "Leave it out.")


def _waves(waves: list[Any], document: Document) -> Iterator[Problem]:
    names: set[str] = set()
    all_taken = None
    for number, wave in enumerate(waves):
        if not isinstance(wave, dict):
            continue
        place: Place = ("fleet", "waves", number)
        shown, name = validation.show_place(place), wave.get("name")
        chosen = [key for key in _CHOICES if wave.get(key) is not None]
        if len(chosen) > 1:
            yield Problem(f"{shown} has {' and '.join(chosen)}", document.source(place), "Keep one of them.")
        if all_taken is not None:
            message = f"{shown} would be empty: wave {show_key(str(all_taken))} takes all that are left"
            yield Problem(message, document.source(place), "Say what that wave takes: where, first or share.")
        if name in names:
            yield Problem(f"duplicate wave {show_key(str(name))}", document.source((*place, "name")))
        if name == REST and chosen:
            message = f"wave {REST} is that of all targets that are left"
            yield Problem(message, document.source((*place, "name")), "Give it another name.")
        if name == NEW:
            message = f"wave {NEW} is that of targets that are listed during a run"
            yield Problem(message, document.source((*place, "name")), "Give it another name.")
        names |= {str(name)}
        all_taken = name if not chosen else all_taken
