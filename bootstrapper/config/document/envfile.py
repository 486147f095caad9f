"""Files of variables: one NAME=value a line, as `.env` files have them."""

from __future__ import annotations

from pathlib import Path

from bootstrapper.config import env_lines
from bootstrapper.config.document.reader import read_bytes
from bootstrapper.errors import InvalidFileError, Problem, Source


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
    variables, wrong = env_lines.parse(text)
    if wrong:
        hint = "Write NAME=value, with both quotes on the same line."
        raise InvalidFileError(
            [Problem("not a NAME=value line", Source(str(file), number, 1), hint) for number in wrong]
        )
    return variables
