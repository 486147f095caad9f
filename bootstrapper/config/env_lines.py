"""The lines of files of variables, `NAME=value`; apart from what reads the files, as the quick look reads them too."""

from __future__ import annotations

import re

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.DOTALL)
_QUOTED = re.compile(r"""(?:'([^']*)'|"((?:[^"\\]|\\.)*+)")\s*(?:#.*)?""", re.DOTALL)
_COMMENT = re.compile(r"(?:^|\s)#")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def parse(text: str) -> tuple[dict[str, str], list[int]]:
    """Returns the variables, and the numbers of the lines that are not NAME=value."""
    variables: dict[str, str] = {}
    wrong = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        value = _value(match[2]) if match else None
        if match is None or value is None or "\0" in line:
            wrong.append(number)
        else:
            variables[match[1]] = value
    return variables, wrong


def _value(text: str) -> str | None:
    """Returns what stands after the equals sign; None if a quote is not closed or something follows it."""
    if not text.startswith(("'", '"')):
        return _COMMENT.split(text, maxsplit=1)[0].strip()
    match = _QUOTED.fullmatch(text)
    if match is None:
        return None
    if match[1] is not None:
        return match[1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), match[2])
