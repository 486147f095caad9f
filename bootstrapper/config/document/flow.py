"""Mappings and lists on one line, such as `{a: 1}` and JSON, without the parser of YAML.

What is not certain to mean the same there is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from bootstrapper.config.document.scalars import number, plain

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that YAML refuses."""

_LONGEST = 1000  # characters; after 1024, YAML refuses a key
_DEEPEST = 20
_INNER = r"(?:[\w./$+@()=;-]|:(?=[\w/]))"
_KEY = re.compile(r"""(?:([A-Za-z_$][A-Za-z0-9_]*+)|"([^"\\\n\t]++)"|'([^'\n\t]++)'):[ ]""")
_PLAIN = rf"(?:[A-Za-z0-9_./$+(~]|-(?=[0-9])){_INNER}*+(?:[ ]{_INNER}++)*+"
_SCALAR = re.compile(rf"""("[^"\\\n\t]*+"|'[^'\n\t]*+')|({_PLAIN})""")
_JSON = frozenset('"{[]}0123456789-')
_NEXT = re.compile(r" *+([,}\]]) *+")


def read_flow(text: str) -> Any:
    """Returns a mapping or a list without variables, aliases or tags; raises ValueError if it takes the parser."""
    depth = text.count("{") + text.count("[")
    if len(text) > _LONGEST or depth > _DEEPEST or ("\\" in text and SURROGATE.search(text)):
        raise ValueError("not certain")
    try:
        value, end = _json(text) if text[1:2] in _JSON else _container(text, 0)
    except json.JSONDecodeError:
        value, end = _container(text, 0)
    if end != len(text):
        raise ValueError("not certain")
    return value


def _json(text: str) -> tuple[Any, int]:
    """Decodes JSON; a duplicate key shows by the number of colons, or else by a hook, which takes its time."""
    value, end = _DECODER.raw_decode(text)
    if type(value) is dict and text.count(":") == len(value):
        return value, end
    return _DISTINCT.raw_decode(text)


def _container(text: str, at: int) -> tuple[Any, int]:
    """Returns the mapping or list that begins at a position, and the position after it."""
    is_mapping, closing = text[at] == "{", "}" if text[at] == "{" else "]"
    found: list[Any] = []
    keys: list[str] = []
    at += 1
    if text.startswith(closing, at):
        return ({} if is_mapping else []), at + 1
    while text.startswith(" ", at):
        at += 1
    while True:
        if is_mapping:
            key = _matched(_KEY, text, at)
            keys.append(key[1] or key[2] or key[3])
            at = key.end()
        value, at = _item(text, at)
        found.append(value)
        following = _matched(_NEXT, text, at)
        if following[1] != ",":
            break
        at = following.end()
    if following[1] != closing:
        raise ValueError("not certain")
    return (_distinct(list(zip(keys, found, strict=True))) if is_mapping else found), following.end(1)


def _item(text: str, at: int) -> tuple[Any, int]:
    if text.startswith(("{", "["), at):
        return _container(text, at)
    scalar = _matched(_SCALAR, text, at)
    return (scalar[1][1:-1] if scalar[1] else plain(scalar[2])), scalar.end()


def _matched(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    found = pattern.match(text, at)
    if found is None:
        raise ValueError("not certain")
    return found


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("duplicate key")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is text in YAML")


_NUMBER: Callable[[str], Any] = number
_DECODER = json.JSONDecoder(parse_float=_NUMBER, parse_constant=_refuse)
_DISTINCT = json.JSONDecoder(parse_float=_NUMBER, parse_constant=_refuse, object_pairs_hook=_distinct)
