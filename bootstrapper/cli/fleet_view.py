"""How a run over a fleet is shown: a line for each wave and failure, and on a terminal a grid of the targets."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from bootstrapper.cli.confirmation import is_yes
from bootstrapper.cli.jsonlog import head
from bootstrapper.cli.options import Invocation
from bootstrapper.cli.output import RED, is_terminal, paint, print_message, takes_colour
from bootstrapper.config.units import show_seconds
from bootstrapper.fleet.outcomes import MOST_SHOWN, Summary, Watcher
from bootstrapper.fleet.places import Placed
from bootstrapper.fleet.work import Result
from bootstrapper.text import counted, one_line

if TYPE_CHECKING:
    from bootstrapper.cli.fleet_grid import Grid

_REPORTED_SECONDS = 10.0
_WORDS = {"done": "changed", "unchanged": "with nothing to do", "failed": "failed"}


class FleetView(Watcher):
    """Prints what happens to stderr; a context, since a live view has to end."""

    def __init__(self, invocation: Invocation, stream: TextIO) -> None:
        self._invocation, self._stream = invocation, stream
        self._is_json = invocation.log_format == "json"
        self._colour = takes_colour(stream, invocation.variables, no_color=invocation.no_color)
        self._is_live = not (self._is_json or invocation.quiet) and is_terminal(stream, invocation.variables)
        self._grid: Grid | None = None
        self._total = 0
        self._outcomes = Counter[str]()
        self._began = self._told_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def begin(self, targets: Sequence[Placed]) -> None:
        self._tell("begun", counted(len(targets), "target"), targets=len(targets))
        self._follow(targets)

    def wave(self, name: str, targets: Sequence[Placed]) -> None:
        self._close()
        self._tell("wave", f"wave {one_line(name)}: {counted(len(targets), 'target')}", wave=name, targets=len(targets))
        self._follow(targets)

    def _follow(self, targets: Sequence[Placed]) -> None:
        self._total, self._outcomes = len(targets), Counter()
        self._began = self._told_at = time.monotonic()
        if self._is_live:
            from bootstrapper.cli.fleet_grid import Grid  # noqa: PLC0415 - loads rich

            self._grid = Grid(self._stream, len(targets), colour=self._colour)

    def ended(self, result: Result, attempts: int) -> None:
        self._outcomes[result.outcome] += 1
        if self._grid is not None:
            self._grid.ended(result.outcome)
        if result.outcome == "failed":
            tries = f" after {counted(attempts, 'attempt')}" if attempts > 1 else ""
            said = (
                f"{one_line(result.target)}: failed{tries} (exit code {result.exit_code}): {one_line(result.headline)}"
            )
            self._tell("failed", said, important=True, target=result.target, exit_code=result.exit_code)

    def tick(self, running: int) -> None:
        now = time.monotonic()
        if self._grid is not None:
            self._grid.running(running)
        elif now - self._told_at >= _REPORTED_SECONDS:
            self._told_at = now
            ended = self._outcomes.total()
            rate = ended / (now - self._began)
            left = f", {show_seconds((self._total - ended) / rate)} left" if rate else ""
            said = f"{ended:,} of {self._total:,} targets, {rate:.1f}/s{left}"
            self._tell("progress", said, ended=ended, targets=self._total)

    def soak(self, wave: str, seconds: float) -> None:
        self._close()
        failed = f", {self._outcomes['failed']:,} failed" if self._outcomes["failed"] else ""
        said = f"wave {one_line(wave)}: done{failed}; waiting {show_seconds(seconds)}"
        self._tell("soak", said, wave=wave, seconds=seconds)

    def confirm(self, wave: str, following: str) -> bool:
        self._close()
        done = ", ".join(_counted(self._outcomes))
        return is_yes(f"Wave {one_line(wave)} is done: {done}. Begin wave {one_line(following)}?")

    def finished(self, done: Summary) -> None:
        """Prints the failed targets and what became of all."""
        self._close()
        for line in failure_table(done):
            self.say(line)
        said, outcomes = summary_line(done), dict(done.outcomes)
        self._tell(
            "finished",
            said,
            outcomes=outcomes,
            left=done.left,
            unplanned=done.unplanned,
            unlisted=done.unlisted,
            seconds=done.seconds,
        )
        if done.list_error is not None:
            why = f"{one_line(done.list_error.headline)} [{done.list_error.code}]"
            told = f"error: the list of targets cannot be read again: {why}"
            self._tell("list_failed", told, important=True, exit_code=int(done.list_error.exit_code))
            self.say("hint: Run again for targets that were listed during this run.")

    def say(self, text: str) -> None:
        """Prints a line for people; JSON logs are for programs."""
        if not self._is_json and not self._invocation.quiet:
            print_message(self._invocation.masker.mask(text), self._stream)

    def _tell(self, event: str, text: str, *, important: bool = False, **facts: object) -> None:
        shown = self._invocation.masker.mask(text)
        if self._is_json:
            level = "error" if important else "info"
            print_message(json.dumps({**head(datetime.now(UTC), f"fleet_{event}", level), "message": shown, **facts}))
        elif self._grid is not None:
            self._grid.print(paint(shown, RED if important else None, enabled=self._colour))
        elif important or not self._invocation.quiet:
            print_message(paint(shown, RED if important else None, enabled=self._colour), self._stream)

    def _close(self) -> None:
        if self._grid is not None:
            self._grid.close()
            self._grid = None


def failure_table(done: Summary) -> Iterator[str]:
    """Yields the failed targets by exit code, the first of them by name."""
    if not done.failures:
        return
    width = max(len(one_line(result.target)) for result in done.failures)
    yield ""
    yield f"{'target':<{width}}  exit code  message"
    for result in done.failures:
        yield f"{one_line(result.target):<{width}}  {result.exit_code:<9}  {one_line(result.headline)}"
    if done.failed > MOST_SHOWN:
        yield f"and {done.failed - MOST_SHOWN:,} more; the report has all of them"


def _counted(outcomes: Counter[str]) -> list[str]:
    return [f"{outcomes[outcome]:,} {word}" for outcome, word in _WORDS.items() if outcomes[outcome]]


def summary_line(done: Summary) -> str:
    """Returns what became of the targets, in one line."""
    parts = _counted(done.outcomes)
    parts += [f"{done.unplanned:,} not in the plan"] if done.unplanned else []
    parts += [f"{done.unlisted:,} of the plan not listed any more"] if done.unlisted else []
    why = f": wave {one_line(done.stopped_in)} is over its budget" if done.stopped_in is not None else ""
    parts += [f"{done.left:,} not done{why}"] if done.left else []
    return f"fleet: {', '.join(parts) or 'no targets'} in {show_seconds(done.seconds)}"
