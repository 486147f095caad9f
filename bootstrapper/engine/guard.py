"""Guards the start of an application, one of many replicas: that of an older release leaves a newer database alone."""

from __future__ import annotations

from bootstrapper.engine.look import Looker
from bootstrapper.errors import AheadError
from bootstrapper.events import Warned


class Guard:
    """Asked before the lock is taken, and again under it."""

    def __init__(self, looker: Looker) -> None:
        self._looker = looker

    def require_current(self) -> None:
        """Raises AheadError if a newer release has changed the database."""
        self._looker.require_known_revision()

    @staticmethod
    def accepts(error: BaseException) -> bool:
        """Returns whether the application may start in spite of the error, without any write."""
        return isinstance(error, AheadError) and error.is_acceptable


def left_alone(error: AheadError, *, is_partly_done: bool = False) -> Warned:
    """Returns the warning of a run that continues with a database that is ahead of the code."""
    return Warned(f"{error.message}; continuing, nothing {'more ' if is_partly_done else ''}is written", error.hint)
