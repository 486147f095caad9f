"""Prints data to stdout and everything else to stderr; a closed pipe does not stop a run."""

from __future__ import annotations

import codecs
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from datetime import datetime
from io import TextIOWrapper
from typing import TextIO

from bootstrapper.errors import UsageError
from bootstrapper.text import one_line

GREEN, RED, YELLOW, DIM = "32", "31", "33", "2"
_STDOUT, _STDERR = 1, 2
_NARROWEST, _USUAL_WIDTH = 40, 80  # columns
_OWN_COLOURS = re.compile(rf"(\x1b\[(?:0|{GREEN}|{RED}|{YELLOW}|{DIM})m)")
_PLAINLY = "bootstrapper.plainly"
_PLAIN = {"·": "-", "…": "..."}


_DATA: ContextVar[TextIO | None] = ContextVar("data", default=None)

has_data: ContextVar[bool] = ContextVar("has_data", default=False)
"""Whether the command printed its data."""


def prepare() -> None:
    """Escapes characters that the encoding of the terminal lacks; our own marks get an ASCII spelling."""
    has_data.set(False)
    codecs.register_error(_PLAINLY, _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_PLAINLY)


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replaces one character by ASCII, as an error handler of `codecs.register_error`."""
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] in _PLAIN:
        return _PLAIN[error.object[error.start]], error.start + 1
    return codecs.backslashreplace_errors(error)


def escaped(line: str) -> str:
    """Returns the line with control characters escaped, except for our own colours.

    Foreign text is already escaped where it becomes part of a sentence (one_line); this catches what was missed.
    """
    if line.isascii() and line.isprintable():
        return line
    pieces = _OWN_COLOURS.split(line)
    return "".join(piece if number % 2 else one_line(piece, longest=None) for number, piece in enumerate(pieces))


@contextmanager
def reserving_stdout() -> Iterator[None]:
    """Within it only data reaches stdout: what code of the project prints, and its programs write, goes to stderr."""
    stdout = sys.stdout
    data = _apart(stdout)
    token = _DATA.set(data)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _DATA.reset(token)
        if data is not stdout:
            _give_back(data)
            with suppress(OSError):
                data.close()


def give_back_stdout() -> None:
    """Lets a program that becomes this process write to stdout."""
    data = data_stream()
    if data is not sys.stdout:
        _give_back(data)


def _apart(stdout: TextIO) -> TextIO:
    """Returns a stream that leads where stdout does, whose descriptor leads to stderr from then on.

    A stream of another descriptor, as in a test, is returned as it is.
    """
    try:
        if stdout.fileno() != _STDOUT:
            return stdout
        stdout.flush()
        kept = os.dup(_STDOUT)
        os.dup2(_STDERR, _STDOUT)
    except (OSError, ValueError, AttributeError):  # there is none, or it is closed
        return stdout
    return open(kept, "w", encoding=stdout.encoding, errors=stdout.errors)  # noqa: PTH123 - a descriptor


def _give_back(data: TextIO) -> None:
    with suppress(OSError, ValueError):
        os.dup2(data.fileno(), _STDOUT)


def data_stream() -> TextIO:
    return _DATA.get() or sys.stdout


def print_data(text: str) -> None:
    """Prints the result of a command; raises UsageError if stdout cannot be written, such as on a full disk."""
    has_data.set(True)
    try:
        print("\n".join(map(escaped, text.split("\n"))), file=data_stream(), flush=True)
    except BrokenPipeError:
        silence(data_stream())
    except OSError as error:
        silence(data_stream())
        raise UsageError(f"cannot write to stdout: {error.strerror}") from error


def print_message(text: str, stream: TextIO | None = None) -> None:
    """Prints a line for people; if the stream is closed, the work continues."""
    stream = stream or sys.stderr
    try:
        print(escaped(text), file=stream, flush=True)
    except OSError:
        silence(stream)
    except ValueError:
        return  # the stream object is closed


def silence(stream: TextIO) -> None:
    """Discards the buffer of the stream, also when the interpreter flushes it at exit."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def columns() -> int:
    """Returns the width of the terminal, or 80 without one; the variable COLUMNS has precedence, as in a shell."""
    try:
        usual = os.get_terminal_size(data_stream().fileno()).columns
    except (OSError, ValueError):
        usual = 0
    asked = os.environ.get("COLUMNS", "")
    return max(_NARROWEST, (int(asked) if asked.isdecimal() else 0) or usual or _USUAL_WIDTH)


def wrapped(text: str, hang: int = 0) -> list[str]:
    """Returns lines as wide as the terminal, all but the first one indented; a name or a path is never split."""
    indent = " " * hang
    return textwrap.wrap(text, columns(), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def show_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}".rstrip()


def is_terminal(stream: TextIO, variables: Mapping[str, str]) -> bool:
    """Returns whether a person reads the stream; CI systems often provide a terminal without one."""
    return stream.isatty() and variables.get("TERM") != "dumb" and not variables.get("CI")


def takes_colour(stream: TextIO, variables: Mapping[str, str], *, no_color: bool) -> bool:
    """Returns whether to print colours; any non-empty NO_COLOR disables them, see https://no-color.org."""
    return is_terminal(stream, variables) and not no_color and not variables.get("NO_COLOR")


def paint(text: str, colour: str | None, *, enabled: bool) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and text and enabled else text
