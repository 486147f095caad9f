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
    """A unit around the later steps: entered before the first of them that is applied, left after the last one.

    It stands below the lock. Of several, the last one that was entered is left first.

    Attributes:
        borrows_session: Whether its statements run with the settings of the project's own sessions.
    """

    borrows_session: ClassVar[bool] = True

    @abstractmethod
    def around(self, context: Context) -> AbstractContextManager[None]:
        """Returns what is entered and left, such as a method with `contextlib.contextmanager`.

        Entering and leaving each have a transaction with the fence of the lock, which is committed then; in between
        the connection is that of the steps. The step is looked at once more after entering, which should change nothing
        that steps compare.

        Left when a step fails, too. Neither what `__exit__` returns nor what it raises hides the error of a step; what
        it raises fails a run that went well. If the lock or the connection is lost, it is left without a connection:
        each use raises UnreachableError. If the process is killed, it is not left: entering must be repeatable, and
        what it does must be bearable until the next run.
        """


class LockScope(Unit[With], ABC):
    """The unit that takes the lock around all later entries, if one of those has changes; for the built-in one."""

    @abstractmethod
    def enter(self, context: Context, pending: Callable[[], bool]) -> AbstractContextManager[Hold] | None:
        """Acquires the hold.

        Args:
            context: Has no open transaction; its session may be closed and reopened between attempts.
            pending: Asks the database whether any changes are still pending.

        Returns:
            The hold, through which all later steps write; None if no changes are pending any more.
        """
