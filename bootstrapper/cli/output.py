"""Where words go: data to stdout, everything else to stderr; a reader that went away breaks no run."""

from __future__ import annotations

import codecs
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping
from io import TextIOWrapper
from typing import TextIO

from bootstrapper.errors import UsageError
from bootstrapper.text import one_line

GREEN, RED, YELLOW, DIM = "32", "31", "33", "2"
_NARROWEST, _USUAL_WIDTH = 40, 80  # columns


_OWN_COLOURS = re.compile(rf"(\x1b\[(?:0|{GREEN}|{RED}|{YELLOW}|{DIM})m)")
_PLAINLY = "bootstrapper.plainly"
_PLAIN = {"·": "-", "…": "..."}


def prepare() -> None:
    """Lets no character that the terminal's encoding lacks become an error; our own marks have a plain spelling."""
    codecs.register_error(_PLAINLY, _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_PLAINLY)


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    """One character in ASCII, as `codecs.register_error` wants it."""
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] in _PLAIN:
        return _PLAIN[error.object[error.start]], error.start + 1
    return codecs.backslashreplace_errors(error)


def harmless(line: str) -> str:
    """The line with every character escaped that a terminal would obey, our own colours aside.

    What others wrote was escaped where it was put into a sentence (one_line); what slipped through, here.
    """
    if line.isascii() and line.isprintable():
        return line
    pieces = _OWN_COLOURS.split(line)
    return "".join(piece if number % 2 else one_line(piece, longest=None) for number, piece in enumerate(pieces))


def print_data(text: str) -> None:
    """A command's result; raises UsageError where stdout takes no more, such as a full disk."""
    try:
        print("\n".join(map(harmless, text.split("\n"))), flush=True)  # noqa: T201 - the one place that prints data
    except BrokenPipeError:
        silence(sys.stdout)
    except OSError as error:
        silence(sys.stdout)
        raise UsageError(f"stdout can not be written: {error.strerror}") from error


def print_message(text: str, stream: TextIO | None = None) -> None:
    """A line for people. Where nobody can read it any more, the work goes on all the same."""
    stream = stream or sys.stderr
    try:
        print(harmless(text), file=stream, flush=True)
    except OSError:
        silence(stream)
    except ValueError:
        return  # a stream that was closed


def silence(stream: TextIO) -> None:
    """Whatever is still in the stream's buffer goes nowhere, also at the interpreter's own flush at exit."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def columns() -> int:
    """How wide the terminal behind stdout is; 80 where there is none. The variable COLUMNS wins, as in a shell."""
    return max(_NARROWEST, shutil.get_terminal_size((_USUAL_WIDTH, 24)).columns)


def wrapped(text: str, hang: int = 0) -> list[str]:
    """Lines that the terminal need not break, all but the first one indented; a name or a path is never cut."""
    indent = " " * hang
    return textwrap.wrap(text, columns(), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def is_terminal(stream: TextIO, variables: Mapping[str, str]) -> bool:
    """Whether a person looks at it; build servers often give a terminal that nobody looks at."""
    return stream.isatty() and variables.get("TERM") != "dumb" and not variables.get("CI")


def takes_colour(stream: TextIO, variables: Mapping[str, str], *, no_color: bool) -> bool:
    """As https://no-color.org has it: any value but an empty one switches colours off."""
    return is_terminal(stream, variables) and not no_color and not variables.get("NO_COLOR")


def paint(text: str, colour: str | None, *, enabled: bool) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and text and enabled else text
