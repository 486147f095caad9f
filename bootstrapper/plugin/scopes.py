"""The contracts of what stands around steps: gates before them, scopes around them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import ClassVar

from bootstrapper.plugin.context import Context
from bootstrapper.plugin.step import Unit, With
from bootstrapper.postgres.lock.hold import Hold


class Gate(Unit[With], ABC):
    """A unit that is opened before planning, in the order of the file.

    Attributes:
        pure: Whether it opens whenever the server answers a login and a question. Only then does the quick look answer
            for a run with the gate.
    """

    pure: ClassVar[bool] = False

    @abstractmethod
    def open(self, context: Context) -> None:
        """Returns once the database is available; raises UnreachableError or RefusedError otherwise. Writes nothing."""


class Scope(Unit[With], ABC):
    """A unit that encloses all later steps; entered only if one of them has changes."""

    @abstractmethod
    def enter(self, context: Context, pending: Callable[[], bool]) -> AbstractContextManager[Hold] | None:
        """Acquires the hold.

        Args:
            context: Has no open transaction; its session may be closed and reopened between attempts.
            pending: Asks the database whether any changes are still pending.

        Returns:
            The hold, through which all later steps write; None if no changes are pending any more.
        """
