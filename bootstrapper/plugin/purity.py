"""What a look asked beside the files and the database: then it cannot be repeated by its statements alone."""

from __future__ import annotations

from typing import Protocol

from bootstrapper.config.run_cache import Kept, RunCache

_IMPURE = Kept[str, bool]()


class HasPurity(Protocol):
    """A step, check or value function, which says whether it is pure."""

    @property
    def pure(self) -> bool: ...


def note_impure(cache: RunCache, asked: HasPurity) -> None:
    """Notes it in the cache of the look, unless it is pure."""
    if not asked.pure:
        note(cache, type(asked).__name__)


def note(cache: RunCache, what: str) -> None:
    """Notes anything else that depends on more than the files and the database, such as a secret that was resolved."""
    cache.of(_IMPURE)[what] = True


def is_pure(cache: RunCache) -> bool:
    """Returns whether nothing was noted."""
    return not cache.of(_IMPURE)
