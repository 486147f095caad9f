"""The live view of a wave: a cell for each target, or for several alike, with the rate and the time left.

Imports rich, so fleet_view.py imports this module only on a terminal.
"""

from __future__ import annotations

import math
import time
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bootstrapper.config.units import show_seconds

_MOST_CELLS = 400
_REFRESHES_A_SECOND = 5
_STYLES = {"done": "green", "unchanged": "dim", "failed": "red"}


class Grid:
    """Cells in the order in which targets end. With many targets a cell stands for several, and shows the worst."""

    def __init__(self, stream: TextIO, total: int, *, colour: bool) -> None:
        self._console = Console(file=stream, force_terminal=True, no_color=not colour, highlight=False, markup=False)
        self._full, self._open = ("■", "·") if self._console.encoding.startswith("utf") else ("#", ".")
        self._total, self._size = total, max(1, math.ceil(total / _MOST_CELLS))
        self._cells: list[str] = []
        self._ended = self._running = self._failed = 0
        self._began = time.monotonic()
        self._live = Live(
            get_renderable=self.shown,
            console=self._console,
            transient=True,
            refresh_per_second=_REFRESHES_A_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def ended(self, outcome: str) -> None:
        if self._ended % self._size == 0:
            self._cells.append(outcome)
        elif _worse(outcome, self._cells[-1]):
            self._cells[-1] = outcome
        self._ended += 1
        self._failed += outcome == "failed"

    def running(self, number: int) -> None:
        self._running = number

    def print(self, line: str) -> None:
        self._live.console.print(Text.from_ansi(line), soft_wrap=True)

    def close(self) -> None:
        self._live.stop()

    def shown(self) -> Text:
        """Returns the grid as it is now, with a line of numbers below."""
        shown = Text("  ")
        for outcome in self._cells:
            shown.append("x" if outcome == "failed" else self._full, _STYLES.get(outcome, ""))
        shown.append(self._open * (math.ceil(self._total / self._size) - len(self._cells)), "dim")
        seconds = time.monotonic() - self._began
        rate = self._ended / seconds if seconds else 0.0
        left = f" · {show_seconds((self._total - self._ended) / rate)} left" if rate else ""
        shown.append(f"\n  {self._ended:,} of {self._total:,}")
        if self._failed:
            shown.append(f" · {self._failed:,} failed", _STYLES["failed"])
        shown.append(f" · {self._running} running · {rate:.1f}/s{left}")
        return shown


def _worse(outcome: str, other: str) -> bool:
    order = ("unchanged", "done", "failed")
    return order.index(outcome) > order.index(other)
