"""Cuts SQL text into statements, far enough to see what each one begins with.

Knows what a semicolon does not end: strings, quoted names, dollar quotes, nested comments, parentheses, and the bodies
of functions written as BEGIN ATOMIC ... END. It reads text as PostgreSQL's own scanner does with
standard_conforming_strings on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from bootstrapper.dataclass import dataclass

_TOKEN = re.compile(
    r"""
      (?P<space> \s+ | --[^\n\r]* )
    | (?P<comment> /\* )
    | (?P<quoted> (?<![\w$]) [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z) | '(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z) )
    | (?P<dollar> (?<![\w$]) \$ (?:[^\W\d]\w*)? \$ )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<end> ; )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


@dataclass(frozen=True)
class Statement:
    """One statement, without the semicolon and what surrounds it.

    Attributes:
        start: Where it begins in the whole text, in characters from 0.
        words: Its words in capitals, without quoted ones.
    """

    text: str
    start: int
    words: tuple[str, ...]

    @property
    def controls_transactions(self) -> bool:
        """Whether it begins or ends a transaction; savepoints do neither."""
        match self.words:
            case ("BEGIN" | "COMMIT" | "END" | "ABORT", *_):
                return True
            case ("START" | "PREPARE", "TRANSACTION", *_):
                return True
            case ("ROLLBACK", *rest):
                return "TO" not in rest[:2]
            case _:
                return False

    @property
    def copies_with_client(self) -> bool:
        """Whether it is a COPY that reads from or writes to the client."""
        is_copy = self.words[:1] == ("COPY",)
        return is_copy and any(pair in pairwise(self.words) for pair in (("FROM", "STDIN"), ("TO", "STDOUT")))


def split(text: str) -> list[Statement]:
    """Returns the statements of a text, those without content left out."""
    statements = []
    start = end = None
    depth, words = _Depth(), list[str]()
    for kind, value, position in tokens(text):
        if kind == "end" and depth.is_outside:
            if start is not None:
                statements.append(Statement(text[start:end], start, tuple(words)))
            start, end, depth, words = None, None, _Depth(), []
            continue
        start = position if start is None else start
        end = position + len(value)
        if kind == "word":
            words.append(value.upper())
            depth.see_word(words)
        elif kind == "other":
            depth.see_sign(value)
    if start is not None:
        statements.append(Statement(text[start:end], start, tuple(words)))
    return statements


class _Depth:
    """How deep inside parentheses and inside the body of a function."""

    def __init__(self) -> None:
        self._parentheses = 0
        self._blocks = 0

    @property
    def is_outside(self) -> bool:
        return self._parentheses <= 0 and self._blocks <= 0

    def see_sign(self, sign: str) -> None:
        self._parentheses += {"(": 1, ")": -1}.get(sign, 0)

    def see_word(self, words: list[str]) -> None:
        if words[0] != "CREATE":
            return
        if words[-2:] == ["BEGIN", "ATOMIC"] or (self._blocks and words[-1] == "CASE"):
            self._blocks += 1
        elif self._blocks and words[-1] == "END":
            self._blocks -= 1


def tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Kind, text and position of everything but space and comments."""
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match is not None
        kind = match.lastgroup or ""
        end = match.end()
        if kind == "comment":
            end = _end_of_comment(text, end)
        elif kind == "dollar":
            closing = text.find(match[0], end)
            end = len(text) if closing < 0 else closing + len(match[0])
        if kind not in ("space", "comment"):
            yield kind, text[position:end], position
        position = end


def fault_in_expression(text: str) -> str | None:
    """Returns why the text cannot be one expression between brackets; None if it can.

    One that closes the bracket around it, or begins another statement, would mean something else than it says. Whether
    it is SQL at all is for the server to say.
    """
    ended = f"{text}\n;"
    *found, last = [*tokens(ended)] or [("", "", 0)]
    depth = 0
    for kind, value, _ in found:
        depth += {"(": 1, ")": -1}.get(value, 0)
        if depth < 0:
            return "closes a bracket that was not opened"
        if kind == "end":
            return "contains a semicolon"
    if last[2] != len(ended) - 1:
        return "has an unterminated string, name or comment"
    if depth:
        return "has an unclosed bracket"
    return None if found else "is empty"


def _end_of_comment(text: str, position: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, position)
        if edge is None:
            return len(text)
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position


def line_and_column(text: str, position: int) -> tuple[int, int]:
    """Returns line and column from 1, for a position in characters from 0."""
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
