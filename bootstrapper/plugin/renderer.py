"""The contract of a renderer, which formats what commands print."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from inspect import unwrap
from typing import TYPE_CHECKING, ClassVar

from bootstrapper.errors import UsageError
from bootstrapper.plans import Plan

if TYPE_CHECKING:  # what commands of higher layers found out
    from bootstrapper.api.inspection import Status
    from bootstrapper.api.outcomes import Outcome
    from bootstrapper.postgres.ledger.records import RunHistory


class Renderer(ABC):
    """An output format, named by `--format`. Each method returns text without a trailing newline.

    Only `plan` is required: a command whose method is missing refuses the format with exit code 2, before it connects.

    Attributes:
        is_full: Whether every change is wanted that the plan lists, as with `--full`; else the first of many will do.
        file: The configuration file as the command names it, for formats that need a place for everything.
    """

    format: ClassVar[str]
    is_full = False
    file = ""

    def __init__(self, width: int = 80) -> None:
        """Takes the number of columns that a line for people may have."""
        self.width = width

    @abstractmethod
    def plan(self, plan: Plan) -> str:
        """Returns the plan, for `plan` and `--dry-run`. Plans contain no secrets."""

    def outcome(self, outcome: Outcome) -> str:
        """Returns what was done, for `apply` and other commands that make changes; called if they succeeded."""
        raise self._lacks("outcome")

    def status(self, status: Status) -> str:
        """Returns the state of the database, for `status`."""
        raise self._lacks("status")

    def history(self, runs: Sequence[RunHistory]) -> str:
        """Returns the runs, the latest first, for `history`; the only one for `history RUN`, with its steps."""
        raise self._lacks("history")

    @classmethod
    def has(cls, what: str) -> bool:
        """Returns whether the format has a method of its own of this name."""
        return unwrap(getattr(cls, what)) is not getattr(Renderer, what)

    def _lacks(self, what: str) -> UsageError:
        return UsageError(f"format {self.format!r} has no {what}")
