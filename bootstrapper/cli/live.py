"""The live view of the terminal: a line with spinner, progress bar and elapsed time for each running step.

Imports rich, so terminal.py imports this module only when there is something to show.
"""

from __future__ import annotations

from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

from bootstrapper.api.event_text import NAME_WIDTH, progress
from bootstrapper.config.units import show_seconds
from bootstrapper.events import StepProgressed
from bootstrapper.text import one_line, with_reason

_BAR_WIDTH = 24
_REFRESHES_A_SECOND = 10


class LiveView:
    """A view redrawn by its own thread, so that it moves while the run waits for the server."""

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        console = Console(file=stream, force_terminal=True, no_color=not colour, highlight=False, markup=False)
        spinner = "dots" if console.encoding.startswith("utf") else "line"
        self._progress = Progress(
            TextColumn(" "),
            SpinnerColumn(spinner),
            TextColumn(f"{{task.description:<{NAME_WIDTH}}}", markup=False, table_column=Column(no_wrap=True)),
            _Bar(),
            _Detail(),
            _Elapsed(),
            console=console,
            transient=True,
            refresh_per_second=_REFRESHES_A_SECOND,
            redirect_stdout=False,  # data on stdout stays unchanged
        )
        self._rows: dict[str, TaskID] = {}
        self._progress.start()

    def detail(self, step: str, text: str) -> None:
        self._progress.update(self._row(step), detail=text)

    def progress(self, event: StepProgressed) -> None:
        shown = with_reason(progress(event.done, event.total, event.unit), event.detail)
        row = self._row(event.step)
        self._progress.update(row, completed=event.done, total=event.total, shown=shown)

    def remove(self, step: str) -> None:
        row = self._rows.pop(step, None)
        if row is not None:
            self._progress.remove_task(row)
            self._progress.refresh()  # otherwise the next printed line would draw the row once more

    def print(self, line: str) -> None:
        self._progress.console.print(Text.from_ansi(line), soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()

    def _row(self, step: str) -> TaskID:
        if step not in self._rows:
            self._rows[step] = self._progress.add_task(one_line(step), total=None, detail="", shown="")
        return self._rows[step]


class _Bar(ProgressColumn):
    """A bar for steps that report progress."""

    def render(self, task: Task) -> RenderableType:
        if not task.fields["shown"]:
            return Text("")
        total = None if task.total is None else max(1.0, task.total)
        return ProgressBar(total, task.completed, _BAR_WIDTH, animation_time=task.get_time())


class _Detail(ProgressColumn):
    def get_table_column(self) -> Column:
        return Column(no_wrap=True, overflow="ellipsis", ratio=1)

    def render(self, task: Task) -> Text:
        return Text(task.fields["shown"] or task.fields["detail"], no_wrap=True, overflow="ellipsis")


class _Elapsed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(show_seconds(task.elapsed or 0.0), style="dim", justify="right")
