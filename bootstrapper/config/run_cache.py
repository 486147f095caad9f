"""Keeps what takes long to find out and stays valid for a whole run, each kind of result with its own type."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Found = TypeVar("Found")


class Kept(Generic[Key, Found]):
    """One kind of result, and what it depends on: `_CLIENTS = Kept[tuple[Format, int], Client]()`."""


class RunCache:
    """The results of one run, by their kind."""

    def __init__(self) -> None:
        self._kept: dict[Kept[Any, Any], dict[Any, Any]] = {}

    def of(self, kind: Kept[Key, Found]) -> dict[Key, Found]:
        """Returns all results of this kind that were kept until now; the caller adds to them."""
        return self._kept.setdefault(kind, {})
