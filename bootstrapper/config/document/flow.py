"""Mappings and lists on one line, such as `{a: 1}` and JSON, without the parser of YAML.

What is not certain to mean the same there is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bootstrapper.config.document.scalars import number, plain
from bootstrapper.config.document.tree import Marks

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that YAML refuses."""

LONGEST = 1000  # characters; YAML refuses a key that is longer than 1024
_LONGEST_KEY = 100  # in a text that is longer, where each of its characters may be escaped
_MOST_CONTAINERS = 60  # YAML of ours may be nested 64 levels deep
_INNER = r"(?:[\w./$+@()=;-]|:(?=[\w/]))"
_KEY = re.compile(r"""(?:([A-Za-z_$][A-Za-z0-9_]*+)|"([^"\\\n\t]++)"|'([^'\n\t]++)'):[ ]""")
_PLAIN = rf"(?:[A-Za-z0-9_./$+(~]|-(?=[0-9])){_INNER}*+(?:[ ]{_INNER}++)*+"
_SCALAR = re.compile(rf"""("[^"\\\n\t]*+"|'[^'\n\t]*+')|({_PLAIN})""")
_JSON = frozenset('"{[]}0123456789-')
_NEXT = re.compile(r" *+([,}\]]) *+")


def read_flow(text: str) -> Any:
    """Returns a mapping or a list without variables, aliases or tags; raises ValueError if it takes the parser."""
    if text.count("{") + text.count("[") > _MOST_CONTAINERS or ("\\" in text and SURROGATE.search(text)):
        raise ValueError("not certain")
    if len(text) > LONGEST:
        return _long_json(text)
    try:
        value, end = _json(text) if text[1:2] in _JSON else _container(text, 0, None)
    except json.JSONDecodeError:
        value, end = _container(text, 0, None)
    if end != len(text):
        raise ValueError("not certain")
    return value


def flow_marks(line: str, column: int, begin: int) -> Marks:
    """Returns the positions in what stands at a column of a line, which begins at a position.

    Raises ValueError if that takes the parser; what it returns is right only for what `read_flow` takes.
    """
    marks = Marks()
    _container(line, column, _Recorder(marks, begin))
    return marks


@dataclass(frozen=True, slots=True)
class _Recorder:
    """Keeps where the entries of a container stand."""

    marks: Marks
    begin: int

    def entry(self, key: re.Match[str] | None, column: int, text: str) -> _Recorder | None:
        """Notes an entry; returns the recorder of the container that the entry is."""
        if key is not None:
            self.marks.keys.append(self.begin + key.start())
        self.marks.values.append(self.begin + column)
        if not text.startswith(("{", "["), column) or text.startswith(("{}", "[]"), column):
            return None
        inner = self.marks.children[len(self.marks.values) - 1] = Marks()
        return _Recorder(inner, self.begin)


def _json(text: str) -> tuple[Any, int]:
    """Decodes JSON; a duplicate key shows by the number of colons, or else by a hook, which takes its time."""
    value, end = _DECODER.raw_decode(text)
    if type(value) is dict and text.count(":") == len(value):
        return value, end
    return _DISTINCT.raw_decode(text)


def _long_json(text: str) -> Any:
    """Decodes JSON whose keys are short: a long text alone makes no difference to YAML."""
    if " :" in text:
        raise ValueError("not certain")
    value, end = LONG_JSON.raw_decode(text)
    if end != len(text):
        raise ValueError("not certain")
    return value


def _container(text: str, at: int, recorder: _Recorder | None) -> tuple[Any, int]:
    """Returns the mapping or list that begins at an index, and the index after it."""
    is_mapping, closing = text[at] == "{", "}" if text[at] == "{" else "]"
    found: list[Any] = []
    keys: list[str] = []
    at += 1
    if text.startswith(closing, at):
        return ({} if is_mapping else []), at + 1
    while text.startswith(" ", at):
        at += 1
    while True:
        key = None
        if is_mapping:
            key = _matched(_KEY, text, at)
            keys.append(key[1] or key[2] or key[3])
            at = key.end()
        inner = recorder.entry(key, at, text) if recorder is not None else None
        value, at = _item(text, at, inner)
        found.append(value)
        following = _matched(_NEXT, text, at)
        if following[1] != ",":
            break
        at = following.end()
    if following[1] != closing:
        raise ValueError("not certain")
    return (_distinct(list(zip(keys, found, strict=True))) if is_mapping else found), following.end(1)


def _item(text: str, at: int, recorder: _Recorder | None) -> tuple[Any, int]:
    if text.startswith(("{", "["), at):
        return _container(text, at, recorder)
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


def _distinct_and_short(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = _distinct(pairs)
    if found and max(map(len, found)) > _LONGEST_KEY:
        raise ValueError("not certain")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is text in YAML")


_NUMBER: Callable[[str], Any] = number
_DECODER = json.JSONDecoder(parse_float=_NUMBER, parse_constant=_refuse)
_DISTINCT = json.JSONDecoder(parse_float=_NUMBER, parse_constant=_refuse, object_pairs_hook=_distinct)
LONG_JSON = json.JSONDecoder(
    parse_float=_NUMBER, parse_int=_NUMBER, parse_constant=_refuse, object_pairs_hook=_distinct_and_short
)
"""Decodes what means the same in YAML, if no blank stands before a colon and nothing is nested deeply."""
