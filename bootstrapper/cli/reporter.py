"""Prints the events of a command and writes its report."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TextIO

from bootstrapper.cli import error_output
from bootstrapper.cli.journal import Journal
from bootstrapper.cli.jsonlog import JsonLog
from bootstrapper.cli.options import Invocation
from bootstrapper.cli.output import data_stream, is_terminal, takes_colour
from bootstrapper.cli.plainlog import PlainLog
from bootstrapper.cli.reportfile import files_read, opened
from bootstrapper.cli.terminal import Terminal
from bootstrapper.errors import BootstrapperError, ExitCode, UsageError
from bootstrapper.events import Event, Warned


class EventPrinter(Protocol):
    """A format of events on stderr."""

    def emit(self, event: Event) -> None: ...

    def say(self, text: str) -> None:
        """Prints a line for people, such as a summary."""
        ...

    def close(self) -> None: ...


def event_printer(invocation: Invocation, stream: TextIO) -> EventPrinter:
    """Returns the live view for a person at a terminal, else plain or JSON lines."""
    colour = takes_colour(stream, invocation.variables, no_color=invocation.no_color)
    if invocation.log_format == "json":
        return JsonLog(stream, quiet=invocation.quiet)
    if invocation.quiet or not is_terminal(stream, invocation.variables):
        return PlainLog(stream, colour=colour, quiet=invocation.quiet)
    return Terminal(stream, colour=colour)


class Reporter:
    """A context around the one api call of a command; writes the report whatever its outcome.

    Args:
        inputs: Files that the command reads besides the configuration; the report replaces none of them.
        as_data: Whether events are the data of the command as well: one JSON object a line on stdout.
    """

    def __init__(
        self, invocation: Invocation, command: str, inputs: Iterable[Path] = (), *, as_data: bool = False
    ) -> None:
        self._invocation = invocation
        self._inputs = inputs
        self._printer = event_printer(invocation, sys.stderr)
        self._data = JsonLog(data_stream()) if as_data else None
        self._file: TextIO | None = None
        self.journal = Journal(command)
        self.exit_code = ExitCode.DONE

    def emit(self, event: Event) -> None:
        self.journal.keep(event)
        self._printer.emit(event)
        if self._data is not None:
            self._data.emit(event)

    def close(self) -> None:
        """Removes the live view before the last lines."""
        self._printer.close()

    def before_data(self) -> None:
        """Separates messages and data by an empty line if both go to the same terminal."""
        self.close()
        if isinstance(self._printer, Terminal) and is_terminal(data_stream(), self._invocation.variables):
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
                error.is_reported = True  # no second attempt: the file cannot be written
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
            self.exit_code = error_output.exit_code(error)
            self.journal.error = error_output.facts(
                error, self._invocation.masker, with_traceback=self._invocation.traceback
            )
        try:
            with self._file as file:
                self.journal.write(file, self.exit_code, self._invocation.masker)
        except OSError as problem:
            said = f"cannot write the report: {problem.strerror}"
            if error is None:
                raise UsageError(said) from problem
            self._printer.emit(Warned(said))
