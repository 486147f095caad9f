"""What a look asked beside the files and the database: then it cannot be repeated by its statements alone."""

from __future__ import annotations

from typing import Protocol

from bootstrapper.config.run_cache import Kept, RunCache
from bootstrapper.errors import Source

_IMPURE = Kept[tuple[str, Source | None], bool]()


class HasPurity(Protocol):
    """A step, check or value function, which says whether it is pure."""

    @property
    def pure(self) -> bool: ...


def note_impure(cache: RunCache, asked: HasPurity, what: str, source: Source | None = None) -> None:
    """Notes it in the cache of the look, unless it is pure."""
    if not asked.pure:
        note(cache, what, source)


def note(cache: RunCache, what: str, source: Source | None = None) -> None:
    """Notes anything else that depends on more than the files and the database, such as a secret that was resolved."""
    cache.of(_IMPURE)[what, source] = True


def is_pure(cache: RunCache) -> bool:
    """Returns whether nothing was noted."""
    return not cache.of(_IMPURE)


def noted(cache: RunCache) -> str:
    """Returns the first thing that was noted, with its place; empty for nothing."""
    found = [what if source is None else f"{what} at {source}" for what, source in cache.of(_IMPURE)]
    return found[0] if found else ""
