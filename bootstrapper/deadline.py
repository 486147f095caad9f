"""A point in time that work must not outlast, by a monotonic clock."""

from __future__ import annotations

import math
import time
from typing import Self

GIVE_LONGER = "Allow more time with its `timeout`, limits:, or --timeout."
"""The hint for a step whose deadline was exceeded, whichever limit set it."""


class Deadline:
    """`Deadline.never()` has infinitely many seconds left."""

    def __init__(self, at: float) -> None:
        self._at = at

    @classmethod
    def after(cls, seconds: float | None) -> Self:
        return cls(math.inf if seconds is None else time.monotonic() + seconds)

    @classmethod
    def never(cls) -> Self:
        return cls(math.inf)

    @property
    def seconds_left(self) -> float:
        """Never below zero; may be infinite."""
        return max(0.0, self._at - time.monotonic())

    @property
    def has_passed(self) -> bool:
        return self.seconds_left <= 0

    def sooner(self, seconds: float | None) -> Deadline:
        """Returns the earlier of this deadline and one so many seconds from now."""
        return self if seconds is None else Deadline(min(self._at, time.monotonic() + seconds))

    def later(self, seconds: float) -> Deadline:
        """Returns a deadline that is so many seconds later; infinite stays infinite."""
        return Deadline(self._at + seconds)

    def revocable(self) -> Revocable:
        """Returns the same deadline, revocable, for work that may become pointless before."""
        return Revocable(self._at)


class Revocable(Deadline):
    """A deadline that any thread may let pass at any moment; deadlines derived from it stay."""

    def revoke(self) -> None:
        self._at = -math.inf
