"""The messages that the file has for variables without a value: `${NAME:?message}`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from bootstrapper.config.document import Document, demands


def messages(document: Document, names: Collection[str]) -> dict[str, str]:
    """The first message for each of these variables, in the order of their names; none for those without one."""
    if not names:
        return {}
    found: dict[str, str] = {}
    for text in _texts(document.data):
        if ":?" in text:
            found = {**demands(text), **found}
    return {name: found[name] for name in names if name in found}


def _texts(raw: Any) -> Iterator[str]:
    if isinstance(raw, str):
        yield raw
    elif isinstance(raw, Mapping | list):
        for item in raw.values() if isinstance(raw, Mapping) else raw:
            yield from _texts(item)
