"""Files of variables: one NAME=value a line, as `.env` files have them."""

from __future__ import annotations

import re
from pathlib import Path

from bootstrapper.config.document.reader import read_bytes
from bootstrapper.errors import InvalidFileError, Problem, Source

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.DOTALL)
_QUOTED = re.compile(r"""(?:'([^']*)'|"((?:[^"\\]|\\.)*+)")\s*(?:#.*)?""", re.DOTALL)
_COMMENT = re.compile(r"(?:^|\s)#")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def read_variables(file: Path) -> dict[str, str]:
    """Returns the variables of a file; the last of several lines with the same name wins.

    Text in single quotes is taken as it is, in double quotes `\\n`, `\\t`, `\\"` and `\\\\` are escapes; nothing is
    expanded. A # begins a comment where a blank stands before it.

    Raises:
        InvalidFileError: With every line that is not NAME=value. Values are never quoted.
    """
    content = read_bytes(file)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidFileError([Problem("the file is not UTF-8", Source(str(file), line, 1))]) from None
    return _parse(text, str(file))


def _parse(text: str, name: str) -> dict[str, str]:
    variables: dict[str, str] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        value = _value(match[2]) if match else None
        if match is None or value is None or "\0" in line:
            hint = "Write NAME=value, with both quotes on the same line."
            problems.append(Problem("not a NAME=value line", Source(name, number, 1), hint))
        else:
            variables[match[1]] = value
    if problems:
        raise InvalidFileError(problems)
    return variables


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
