"""What a run over a fleet tells while it goes on, and in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bootstrapper.errors import BootstrapperError
from bootstrapper.fleet.places import Placed
from bootstrapper.fleet.work import Result

MOST_SHOWN = 20
"""How many failed targets are named in the end; the report has all of them."""


class Watcher:
    """Is told how a run goes; this one is silent."""

    def begin(self, targets: Sequence[Placed]) -> None:
        """Called before targets are looked at."""

    def wave(self, name: str, targets: Sequence[Placed]) -> None:
        """Called before a wave."""

    def ended(self, result: Result, attempts: int) -> None:
        """Called with the last result of each target."""

    def tick(self, running: int) -> None:
        """Called now and then."""

    def soak(self, wave: str, seconds: float) -> None:
        """Called before the wait after a wave."""

    def confirm(self, wave: str, following: str) -> bool:
        """Asks whether the next wave may begin."""
        return False

    def finished(self, done: Summary) -> None:
        """Called after the last wave, and if the run ends before that."""


@dataclass
class Summary:
    """What became of the targets.

    Attributes:
        outcomes: How many ended how.
        failures: The first of those that failed.
        left: How many were not done, or not to the end, since a wave was over its budget or the run was ended.
        unplanned: How many are not in the plan of the fleet.
        unlisted: How many of that plan are not listed any more, and were not done.
        stopped_in: The wave that was over its budget.
        list_error: Why the list of targets could not be read again at the end; None if it was.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[Result] = field(default_factory=list)
    left: int = 0
    unplanned: int = 0
    unlisted: int = 0
    stopped_in: str | None = None
    list_error: BootstrapperError | None = None
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        return self.outcomes["failed"]

    def add(self, result: Result) -> None:
        self.outcomes[result.outcome] += 1
        if result.outcome == "failed" and len(self.failures) < MOST_SHOWN:
            self.failures.append(result)
