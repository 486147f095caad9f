"""Documents in JSON, which is YAML as well: decoded as JSON, and parsed only to tell where something stands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import field
from functools import cached_property
from typing import Any

from bootstrapper.config.document.builder import CONTAINER_NODES
from bootstrapper.config.document.scalars import number
from bootstrapper.config.document.tree import Document, Place, pack
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import InvalidFileError, Source

Parse = Callable[[bytes], Document]

_MOST_LEVELS = 60
_LONGEST_KEY = 100  # YAML refuses one of more than 1024 characters, each of which may be escaped
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that YAML refuses."""
# A blank before a colon: how many there are between a key and its colon makes a difference to YAML.
_BLANKS = (" :", "\t:", "\n:", "\r:")


def read_json(content: bytes, name: str, parse: Parse, most_nodes: int) -> Document | None:
    """Returns the document; None if the parser has to read it, which says what is wrong."""
    text = content.decode()
    if any(each in text for each in _BLANKS) or ("\\u" in text and _SURROGATE.search(text)):
        return None
    before = text[: len(text) - len(text.lstrip())]
    if not set(before) <= {" ", "\n"}:
        return None
    if CONTAINER_NODES * (text.count("{") + text.count("[")) > most_nodes:
        return None
    try:
        data = _DECODER.decode(text)
        if not isinstance(data, dict | list) or _nodes(data, 0) > most_nodes:
            return None
    except (ValueError, RecursionError):
        return None
    position = pack(before.count("\n"), len(before) - before.rfind("\n") - 1)
    return _JsonDocument(data, (name,), position, parse=parse, content=content)


def _nodes(value: Any, level: int) -> int:
    """Returns the size of a mapping or list, as the parser counts; raises ValueError if it is nested too deeply."""
    if level > _MOST_LEVELS:
        raise ValueError("nested too deeply")
    items = value.values() if type(value) is dict else value
    inner = sum([_nodes(item, level + 1) for item in items if type(item) in (dict, list)])
    return CONTAINER_NODES + 2 * len(value) + inner


def _distinct_and_short(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("duplicate key")
    if found and max(map(len, found)) > _LONGEST_KEY:
        raise ValueError("the key is too long for YAML")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is text in YAML")


_NUMBER: Callable[[str], Any] = number
_DECODER = json.JSONDecoder(
    parse_float=_NUMBER, parse_int=_NUMBER, parse_constant=_refuse, object_pairs_hook=_distinct_and_short
)


@dataclass(frozen=True, eq=False)
class _JsonDocument(Document):
    """A document that is parsed when it is first asked where something stands."""

    parse: Parse = field(kw_only=True, repr=False)
    content: bytes = field(kw_only=True, repr=False)

    @cached_property
    def _parsed(self) -> Document:
        try:
            return self.parse(self.content)
        except InvalidFileError:
            return Document(None, self.files, self.position)

    def _source(self, place: Place) -> tuple[Source, Source]:
        return self._parsed._source(place)
