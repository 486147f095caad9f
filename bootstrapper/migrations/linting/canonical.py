"""Statements in canonical form: one space between tokens, none around dots, no comments, empty strings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bootstrapper.postgres.connection.statements import tokens

NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
QUALIFIED = rf"{NAME}(?:\.{NAME})*"

_NAME = re.compile(NAME)
_LISTED = re.compile(rf"(?:ONLY )?({QUALIFIED})", re.IGNORECASE)
_PART = re.compile(r'"(?:[^"]|"")*"|[(),]')
_INNERMOST = re.compile(r'\((?:"(?:[^"]|"")*"|[^()"])*\)')
_DOT = re.compile(r'("(?:[^"]|"")*")| ?\. ?')


def canonical(text: str) -> str:
    """Returns the canonical form; keeps the case of words, which patterns ignore."""
    pieces = []
    for kind, value, _ in tokens(text):
        is_string = kind == "dollar" or (kind == "quoted" and not value.startswith('"'))
        pieces.append("''" if is_string else value)
    return _DOT.sub(lambda match: match[1] or ".", " ".join(pieces))


def folded(name: str) -> str:
    """Returns the name as in the catalogue."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def schema_and_name(qualified: str) -> tuple[str | None, str]:
    parts = [folded(part) for part in _NAME.findall(qualified)]
    return (parts[-2] if len(parts) > 1 else None), parts[-1]


def each(names: str) -> list[str]:
    """Splits a list of names, without ONLY."""
    return _LISTED.findall(names)


def without_parentheses(text: str) -> str:
    while (shorter := _INNERMOST.sub("", text)) != text:
        text = shorter
    return text


def actions(text: str) -> Iterator[str]:
    """Splits at commas outside parentheses."""
    depth = start = 0
    for part in _PART.finditer(text):
        depth += {"(": 1, ")": -1}.get(part[0], 0)
        if part[0] == "," and depth == 0:
            yield text[start : part.start()].strip()
            start = part.end()
    yield text[start:].strip()
