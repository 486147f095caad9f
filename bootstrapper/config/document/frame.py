"""What the builder keeps of a mapping or a list whose end it has not read yet."""

from __future__ import annotations

from typing import Any

from bootstrapper.config.document.tree import Marks

_NO_KEYS: list[int] = []
NO_CHILDREN: dict[int, Marks] = {}
"""Of containers without containers in them, which are most; compared by identity."""


class Frame:
    """A container that is being filled."""

    __slots__ = ("anchor", "begun", "data", "key", "key_at", "marks", "merged", "position")

    def __init__(self, data: Any, position: int, anchor: str | None, begun: int) -> None:
        self.data = data
        self.marks = Marks([] if type(data) is dict else _NO_KEYS, [], NO_CHILDREN)  # most have no children
        self.position = position
        self.anchor = anchor
        self.begun = begun  # how many nodes there were before it: its size is the difference at its end
        self.key: str | None = None
        self.key_at = 0
        self.merged: list[tuple[dict[str, Any], Marks]] = []
