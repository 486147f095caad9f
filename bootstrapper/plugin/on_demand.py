"""A class that is imported when the file names it: what a file does not use costs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any


class OnDemand:
    """What a hook may return instead of a class.

    Attributes:
        name: What the file writes: the class's `uses`, `key` or `format`.
    """

    def __init__(self, name: str, home: str) -> None:
        """Takes the place of the class as `package.module:Class`."""
        self.name = name
        self._module, self._attribute = home.split(":")

    def load(self) -> Any:
        return getattr(import_module(self._module), self._attribute)


class ByName(Mapping[str, Any]):
    """Classes by name, each imported when it is first looked up."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._found = dict(found)

    def __getitem__(self, name: str) -> Any:
        thing = self._found[name]
        if isinstance(thing, OnDemand):
            thing = self._found[name] = thing.load()
        return thing

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def loaded(things: Iterable[Any]) -> list[Any]:
    """Returns the classes that a hook named."""
    return [thing.load() if isinstance(thing, OnDemand) else thing for thing in things]
