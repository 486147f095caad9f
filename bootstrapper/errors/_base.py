"""The root of all errors, their exit codes, and places in files."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar, Self

from bootstrapper.dataclass import dataclass


class ExitCode(IntEnum):
    """The exit status of the process; 5 and 7 are retryable."""

    DONE = 0
    FAILED = 1
    CONFIG = 2
    BUG = 3
    PENDING = 4
    UNREACHABLE = 5
    REFUSED = 6
    LOCKED = 7
    STALE = 8
    GUARDED = 9
    AHEAD = 10
    INTERRUPTED = 130
    TERMINATED = 143


@dataclass(frozen=True, order=True)
class Source:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file.

    Attributes:
        message: What is wrong, in one line, without a place.
        source: Where; None if that is unknown.
        hint: What to do, as an imperative sentence.
    """

    message: str
    source: Source | None = None
    hint: str | None = None

    def __str__(self) -> str:
        return _placed(self.message, self.source)


class BootstrapperError(Exception):
    """The root; has a message without secrets, a hint, and the exit code and the code of its class.

    Attributes:
        headline: What is wrong, in one line; a line break in it comes from outside and is shown as an escape.
        details: Further lines, such as the last output of a program.
        message: Both together.
        sqlstate: The server's code; None if no server refused.
        hint: What to do, as an imperative sentence; None if that is unknown.
        source: The place in the file; None if there is none, or it is unknown.
        is_reported: Whether the file of --report has the error.
    """

    exit_code: ClassVar[ExitCode]
    code: ClassVar[str]

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        source: Source | None = None,
        details: Iterable[str] = (),
        sqlstate: str | None = None,
    ) -> None:
        self.headline = with_sqlstate(message, sqlstate)
        self.details = tuple(details)
        self.message = "\n  ".join([self.headline, *self.details])
        self.sqlstate = sqlstate
        self.hint = hint
        self.source = source
        self.is_reported = False
        super().__init__(self.message)

    def __str__(self) -> str:
        return _placed(self.message, self.source)

    def at(self, source: Source | None) -> Self:
        """Adds the place in the file unless the error has one; returns the error."""
        self.source = self.source or source
        return self

    @property
    def lines(self) -> list[str]:
        """The error line by line, with its place."""
        return [_placed(self.headline, self.source), *(f"  {line}" for line in self.details)]

    @property
    def retryable(self) -> bool:
        return self.exit_code in (ExitCode.UNREACHABLE, ExitCode.LOCKED)


def with_sqlstate(text: str, sqlstate: str | None) -> str:
    return f"{text} (SQLSTATE {sqlstate})" if sqlstate else text


def _placed(text: str, source: Source | None) -> str:
    return f"{source}: {text}" if source else text
