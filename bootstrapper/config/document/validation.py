"""Turns pydantic's errors about a document into plain sentences with their places.

No sentence quotes a value: it could be a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bootstrapper.config.document.builder import show_key
from bootstrapper.config.document.tree import Document, Place
from bootstrapper.errors import Problem
from bootstrapper.text import nearest

_EXPECTED = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "none": "nothing",
    "url": "a URL",
    "path": "a path",
}
_SENTENCES = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "too_short": "needs at least {min_length}",
    "too_long": "takes at most {max_length}",
    "string_too_short": "needs at least {min_length} characters",
    "string_too_long": "takes at most {max_length} characters",
    "string_pattern_mismatch": "does not match {pattern}",
}


def problems(error: ValidationError, model: Any, document: Document, place: Place) -> list[Problem]:
    """Returns every problem that pydantic finds in the value at a place of the document.

    Args:
        model: The model, or other annotation, that the value was validated against.
    """
    groups: dict[Place, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        groups.setdefault(_within(document, place, _location(details)), []).append(details)
    return [
        _problem(details, expected, model, document, place)
        for group in groups.values()
        for details, expected in _telling(group)
    ]


def _telling(group: list[ErrorDetails]) -> list[tuple[ErrorDetails, str | None]]:
    """Returns each error at one place, with the kinds that are expected there.

    Each branch of a union reports errors: a mere type mismatch counts only if there is no other error.
    """
    expected = {words: details for details in group if (words := _expected(details["type"])) is not None}
    others = [details for details in group if _expected(details["type"]) is None]
    if others or not expected:
        return [(details, None) for details in others]
    return [(next(iter(expected.values())), " or ".join(expected))]


def unknown_key(name: str, known: Iterable[str], document: Document, place: Place) -> Problem:
    """Returns the problem of an unknown key; `place` ends with that key."""
    names = sorted(known)
    near = nearest(name, names)
    suggestion = f"; did you mean {show_key(near)}?" if near else ""
    where = f"under {show_place(place[:-1])}" if place[:-1] else "at the top level"
    hint = f"Known here: {', '.join(names)}." if names and not near else None
    return Problem(f"unknown key {show_key(name)} {where}{suggestion}", document.key_source(place), hint)


def show_place(place: Place) -> str:
    """Returns a place the way people write it: fixtures.users.rows[0].email."""
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return shown.removeprefix(".")


def kind(value: object) -> str:
    """Returns what a value is, without the value."""
    names: list[tuple[type | tuple[type, ...], str]] = [
        (bool, "true or false"),
        ((int, Decimal, float), "a number"),
        (str, "text"),
        (list, "a list"),
        (dict, "a mapping"),
    ]
    return next((name for types, name in names if isinstance(value, types)), "nothing")


def _location(details: ErrorDetails) -> Place:
    return tuple(part for part in details["loc"] if part != "[key]")


def _problem(details: ErrorDetails, expected: str | None, model: Any, document: Document, place: Place) -> Problem:
    location = _location(details)
    full = _within(document, place, location)
    if details["type"] == "extra_forbidden":
        return unknown_key(str(location[-1]), _keys(model, location[:-1]), document, full)
    if details["type"] == "missing":
        key = str(location[-1])
        where = f" under {show_place(full[:-1])}" if full[:-1] else ""
        known = document.get(full[:-1])
        is_written = isinstance(known, dict) and key in known  # with nothing after its colon
        source = document.key_source(full) if is_written else document.source(full[:-1])
        return Problem(f"{show_key(key)} is missing{where}", source)
    named = f"{show_place(full)}: " if full else ""
    sentence = f"expected {expected}, found {kind(details['input'])}" if expected else describe(details)
    return Problem(f"{named}{sentence}", document.source(full), _hint(details))


def _within(document: Document, place: Place, location: Place) -> Place:
    """Returns the part of pydantic's location that the file knows, with its last key even where it is missing.

    The rest are names that pydantic gives the branches of a union.
    """
    for length in range(len(location), 0, -1):
        value, last = document.get((*place, *location[: length - 1])), location[length - 1]
        if isinstance(value, dict) or (isinstance(value, list) and isinstance(last, int)):
            return (*place, *location[:length])
    return place


def describe(details: ErrorDetails) -> str:
    """Returns one of pydantic's errors in plain words, without the value."""
    code, context = details["type"], details.get("ctx", {})
    if code in ("value_error", "assertion_error"):
        return _without_value(str(context.get("error", "is not valid")), details["input"])
    if code == "string_too_short" and context.get("min_length") == 1:
        return "must not be empty"
    if code in _SENTENCES:
        return _SENTENCES[code].format(**context)
    expected = _expected(code)
    if expected is None:
        return f"is not valid ({code.replace('_', ' ')})"
    return f"expected {expected}, found {kind(details['input'])}"


def _expected(code: str) -> str | None:
    """Returns what was expected if the error is a mere type mismatch, else None."""
    if code in _SENTENCES or code in ("missing", "extra_forbidden"):
        return None
    return next((words for name, words in _EXPECTED.items() if code.startswith(f"{name}_")), None)


def _without_value(message: str, value: object) -> str:
    """Replaces the value, which validators may quote, by `this`."""
    for spelling in (repr(value), str(value)):
        if spelling and message.startswith(spelling):
            return f"this{message.removeprefix(spelling)}"
        if len(spelling) > 3 and spelling in message:
            return message.replace(spelling, "this")
    return message


def _hint(details: ErrorDetails) -> str | None:
    if details["type"] == "string_type" and kind(details["input"]) in ("a number", "true or false"):
        return "Put it in quotes."
    return None


def _keys(model: Any, location: Place) -> list[str]:
    """Returns the keys that the model knows at a location, as the file writes them."""
    known = _model_at(model, location)
    return [field.alias or name for name, field in known.model_fields.items()] if known else []


def _model_at(annotation: Any, location: Place) -> type[BaseModel] | None:
    """Follows a location through models, mappings and lists."""
    model = _plain(annotation)
    for part in location:
        if isinstance(model, type) and issubclass(model, BaseModel):
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            model = _plain(fields[str(part)].annotation) if part in fields else None
        elif get_args(model):
            model = _plain(get_args(model)[-1 if get_origin(model) is dict else 0])
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _plain(annotation: Any) -> Any:
    """Returns an annotation without Annotated, None, and branches other than models."""
    arguments = get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _plain(arguments[0])
    if get_origin(annotation) in (list, dict, tuple) or not arguments:
        return annotation
    plain = [_plain(argument) for argument in arguments if argument is not type(None)]
    return next((item for item in plain if isinstance(item, type) and issubclass(item, BaseModel)), plain[0])
