"""Rules across keys of the file: keys that exclude each other, need each other, or repeat each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bootstrapper.config.document import Document, Place, validation
from bootstrapper.config.document.builder import show_key
from bootstrapper.config.fleet_rules import fleet_problems
from bootstrapper.config.models import DatabaseConfig
from bootstrapper.errors import Problem, Source
from bootstrapper.plans import unknown_hazard


def contradictions(raw: Mapping[str, Any], document: Document) -> Iterator[Problem]:
    """Checks data whose shape may still be wrong, so that these problems are reported together with all others.

    Args:
        raw: The document's data with the variables of its early parts replaced.
        document: Gives the places.
    """
    yield from _database(raw.get("database"), document)
    yield from _names(raw.get("steps"), document)
    yield from _hazards(raw.get("steps"), document)
    yield from fleet_problems(raw.get("fleet"), document)
    fixtures = raw.get("fixtures")
    for name, fixture in (fixtures if isinstance(fixtures, dict) else {}).items():
        if isinstance(fixture, dict):
            yield from _fixture(fixture, document, ("fixtures", name))


def _database(database: Any, document: Document) -> Iterator[Problem]:
    if isinstance(database, str):
        source = document.source(("database",))
        yield Problem("database: expected a mapping, found text", source, "Write `database: {url: ...}` around it.")
    if not isinstance(database, dict):
        return
    keys = [key for key, value in database.items() if value is not None and key in DatabaseConfig.model_fields]
    parts = [key for key in keys if key not in ("url", "direct_url")]
    if "url" in keys and parts:
        source = document.key_source(("database", parts[0]))
        hint = "Keep one of the two; an overlay removes a key with null."
        yield Problem(f"database has both url and {', '.join(parts)}", source, hint)
    if "url" not in keys and not {"host", "hostaddr", "dbname", "service"} & set(parts):
        yield Problem("database needs url, or host and dbname", document.key_source(("database",)))


def _names(steps: Any, document: Document) -> Iterator[Problem]:
    """Yields steps with the same name."""
    first: dict[str, Source] = {}
    for number, step in enumerate(steps if isinstance(steps, list) else []):
        key = "name" if isinstance(step, dict) and "name" in step else "uses"
        name = step.get(key) if isinstance(step, dict) else None
        if not isinstance(name, str):
            continue
        source = document.source(("steps", number, key))
        if name in first:
            hint = "Give it a name of its own with name:."
            yield Problem(f"duplicate step name {show_key(name)}; first at {first[name]}", source, hint)
        first.setdefault(name, source)


def _hazards(steps: Any, document: Document) -> Iterator[Problem]:
    """Yields what `limits.allow` of a step names, but is not a hazard."""
    for number, step in enumerate(steps if isinstance(steps, list) else []):
        limits = step.get("limits") if isinstance(step, dict) else None
        allowed = limits.get("allow") if isinstance(limits, dict) else None
        for position, name in enumerate(allowed if isinstance(allowed, list) else []):
            place: Place = ("steps", number, "limits", "allow", position)
            if isinstance(name, str) and (problem := unknown_hazard(name)):
                yield Problem(problem[0], document.source(place), problem[1])


def _fixture(fixture: dict[str, Any], document: Document, place: Place) -> Iterator[Problem]:
    shown = validation.show_place(place)
    rows, file = fixture.get("rows"), fixture.get("file")
    if rows is None and file is None:
        yield Problem(f"{shown} needs rows, or a file of rows", document.key_source(place))
    if rows is not None and file is not None:
        hint = "Keep one of the two; an overlay removes a key with null."
        yield Problem(f"{shown} has both rows and a file", document.key_source((*place, "file")), hint)
    yield from _about_csv(fixture, document, place)
    key = fixture.get("key")
    twice = [name for name in key if key.count(name) > 1] if isinstance(key, list) else []
    if twice:
        yield Problem(f"{shown}: key names {show_key(twice[0])} twice", document.source((*place, "key")))
    yield from _reach(fixture, document, place)
    if rows is not None:
        yield from _rows(rows, document, (*place, "rows"))


def _reach(fixture: dict[str, Any], document: Document, place: Place) -> Iterator[Problem]:
    """Yields what mode sync may delete."""
    shown, mode, where = validation.show_place(place), fixture.get("mode", "create"), fixture.get("where")
    if mode == "sync" and where is None:
        hint = "Say which rows it may delete; where: all for the whole table."
        yield Problem(f"{shown}: mode sync needs where", document.source((*place, "mode")), hint)
    if mode in ("create", "update") and where is not None:
        message = f"{shown}: where is for mode sync; mode {mode} deletes no rows"
        hint = "Leave it out, or say mode: sync; an overlay removes a key with null."
        yield Problem(message, document.key_source((*place, "where")), hint)


def _about_csv(fixture: dict[str, Any], document: Document, place: Place) -> Iterator[Problem]:
    """Yields what only a CSV file has."""
    file = fixture.get("file")
    if isinstance(file, str) and file.removesuffix(".gz").endswith(".csv"):
        return
    for key in ("columns", "null", "delimiter"):
        if fixture.get(key) is not None:
            message = f"{validation.show_place((*place, key))} applies only to rows in a CSV file"
            yield Problem(message, document.key_source((*place, key)), "Leave it out.")


def _rows(rows: Any, document: Document, place: Place) -> Iterator[Problem]:
    if not isinstance(rows, dict | list):
        message = f"{validation.show_place(place)}: expected rows, found {validation.kind(rows)}"
        yield Problem(message, document.source(place))
        return
    entries = rows.items() if isinstance(rows, dict) else enumerate(rows)
    for label, row in entries:
        if not isinstance(row, dict):
            message = f"{validation.show_place((*place, label))}: expected a row, found {validation.kind(row)}"
            yield Problem(message, document.source((*place, label)))
