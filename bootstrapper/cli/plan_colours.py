"""Colours a text plan by the mark at the start of each line; the renderer does not depend on the terminal."""

from __future__ import annotations

import re

from bootstrapper.cli.options import Invocation
from bootstrapper.cli.output import DIM, GREEN, RED, YELLOW, data_stream, paint, takes_colour

_STEP = {"+": GREEN, ">": GREEN, "?": YELLOW, "-": DIM, "=": DIM}
_CHANGE = {"+": GREEN, ">": GREEN, "?": YELLOW, "-": RED, "~": YELLOW, "!": YELLOW}
_LACKING = tuple(f"{what} here" for what in (" not set", " does not exist", " cannot be read", " is empty"))
_MARKED = re.compile(r"( {4})?([+>?~=!-]) (?=\S)")


def coloured(text: str, invocation: Invocation) -> str:
    """Returns the text coloured; unchanged if stdout is not a terminal or colours are disabled."""
    if not takes_colour(data_stream(), invocation.variables, no_color=invocation.no_color):
        return text
    return "\n".join(_line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    marked = _MARKED.match(line)
    if marked is None:
        return paint(line, YELLOW, enabled=True) if line.endswith(_LACKING) else line
    colours = _CHANGE if marked[1] else _STEP
    indent = marked[1] or ""
    return indent + paint(line[len(indent) :], colours.get(marked[2]), enabled=True)
