"""Puts a run's events before people and programs, and keeps them for the report."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TextIO

from bootstrapper.cli import failures
from bootstrapper.cli.journal import Journal
from bootstrapper.cli.jsonlog import JsonLog
from bootstrapper.cli.options import Invocation
from bootstrapper.cli.output import is_terminal, takes_colour
from bootstrapper.cli.plainlog import PlainLog
from bootstrapper.cli.reportfile import files_read, opened
from bootstrapper.cli.terminal import Terminal
from bootstrapper.errors import BootstrapperError, ExitCode, UsageError
from bootstrapper.events import Event, Warned


class EventPrinter(Protocol):
    """One way to print events."""

    def emit(self, event: Event) -> None: ...

    def say(self, text: str) -> None:
        """Words for people at the end of a run."""
        ...

    def close(self) -> None: ...


def event_printer(invocation: Invocation, stream: TextIO) -> EventPrinter:
    """A live view where a person looks on, plain or JSON lines elsewhere."""
    colour = takes_colour(stream, invocation.variables, no_color=invocation.no_color)
    if invocation.log_format == "json":
        return JsonLog(stream, quiet=invocation.quiet)
    if invocation.quiet or not is_terminal(stream, invocation.variables):
        return PlainLog(stream, colour=colour, quiet=invocation.quiet)
    return Terminal(stream, colour=colour)


class Reporter:
    """Around the one api call of a command. The report is written whatever the call's outcome is.

    Args:
        inputs: What the command reads beside the file and the files that it names; no report replaces these.
    """

    def __init__(self, invocation: Invocation, command: str, inputs: Iterable[Path] = ()) -> None:
        self._invocation = invocation
        self._inputs = inputs
        self._printer = event_printer(invocation, sys.stderr)
        self._file: TextIO | None = None
        self.journal = Journal(command)
        self.exit_code = ExitCode.DONE

    def emit(self, event: Event) -> None:
        self.journal.keep(event)
        self._printer.emit(event)

    def close(self) -> None:
        """Takes a live view away, before last words are said."""
        self._printer.close()

    def make_way_for_data(self) -> None:
        """Where both go to one screen, an empty line keeps the run's lines and its data apart."""
        self.close()
        if isinstance(self._printer, Terminal) and is_terminal(sys.stdout, self._invocation.variables):
            self._printer.say("")

    def say(self, text: str) -> None:
        self.close()
        self._printer.say(text)

    def __enter__(self) -> Self:
        asked = self._invocation
        if asked.report:
            inputs = chain(self._inputs, files_read(asked.file, asked.environment, asked.variables))
            try:
                self._file = opened(asked.report, overwrite=asked.overwrite, inputs=inputs)
            except UsageError as error:
                error.is_reported = True  # as far as it can be: the file is not to be tried again
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._file is None:
            return
        if isinstance(error, BootstrapperError):
            error.is_reported = True
        if error is not None:
            self.exit_code = failures.exit_code(error)
            self.journal.error = failures.facts(
                error, self._invocation.masker, with_traceback=self._invocation.traceback
            )
        try:
            with self._file as file:
                self.journal.write(file, self.exit_code, self._invocation.masker)
        except OSError as problem:
            said = f"the report can not be written: {problem.strerror}"
            if error is None:
                raise UsageError(said) from problem
            self._printer.emit(Warned(said))
