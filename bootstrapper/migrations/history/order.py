"""Sorts revisions as Alembic does, newest first; graphlib would break ties in another way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator


class Walk:
    """Walks down one branch after another; a branch that another one depends on waits for it.

    The algorithm is that of Alembic's RevisionMap._topological_sort, so that ties are broken alike.
    """

    def __init__(
        self,
        names: set[str],
        heads: Collection[str],
        order: list[str],
        parents: Callable[[str], tuple[str, ...]],
        ancestors: Callable[[str], set[str]],
    ) -> None:
        self._todo = set(names)
        self._parents = parents
        self._ancestors = ancestors
        position = {name: index for index, name in enumerate(order)}
        self._heads = sorted({head for head in heads if head in names}, key=position.__getitem__)
        self._below = [ancestors(head) for head in self._heads]

    def __iter__(self) -> Iterator[str]:
        at = 0
        while self._heads:
            candidate = self._heads[at]
            other = self._waits_for(at)
            if other is not None:
                at = other
                continue
            if candidate in self._todo:
                yield candidate
                self._todo.remove(candidate)
            at = self._descend(at, candidate)

    def _waits_for(self, at: int) -> int | None:
        candidate = self._heads[at]
        return next((index for index, below in enumerate(self._below) if index != at and candidate in below), None)

    def _descend(self, at: int, candidate: str) -> int:
        """Replaces the head by its parents; returns the index to continue at."""
        parents = self._parents(candidate)
        following = [name for name in parents if name in self._todo and name not in self._heads]
        if not following:
            del self._heads[at], self._below[at]
            return max(at - 1, 0)
        self._heads[at] = following[0]
        self._heads.extend(following[1:])
        if len(parents) == 1:  # a plain line needs no new walk over all ancestors
            self._below[at].discard(candidate)
        else:
            self._below[at] = self._ancestors(following[0])
            self._below.extend(self._ancestors(name) for name in following[1:])
        return at
