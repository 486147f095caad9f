"""Text for people: lines that no outside text can break, lists, counts, suggestions for misspelt names, and JSON."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from bootstrapper.errors import BootstrapperError, InvalidFileError, UnsetVariablesError

_LONGEST_VALUE = 200  # a document of a megabyte would bury the change that it belongs to
_LONGEST_LINE = 2000  # as would what a server says of it

# Cc: escape sequences and line breaks. Cs: lone surrogates, which no terminal takes. Zl, Zp: line breaks.
_UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})
# They reorder the text around them, so that a reviewer reads something else than what will happen.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# DEL and the C1 controls, line separators, marks that reorder the text around them, lone surrogates. Those below the
# blank are escaped in any JSON.
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line(text: str, longest: int | None = _LONGEST_LINE) -> str:
    """Returns the text with escapes for everything that would break or reorder a line, cut if very long."""
    line = cut(text, longest) if longest is not None else text
    return line if line.isascii() and line.isprintable() else "".join(map(_shown, line))


def cut(text: str, longest: int = _LONGEST_LINE) -> str:
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def error_lines(error: BootstrapperError, mask: Callable[[str], str]) -> list[str]:
    """Returns the error's lines."""
    return [one_line(mask(line)) for line in error.lines]


def report_lines(error: BootstrapperError, mask: Callable[[str], str], label: str = "") -> list[str]:
    """Returns the error as it leaves the program: its lines, hints and code.

    The code comes last in the hint, or in the first line of an error without one. Several problems end with one code.

    Args:
        label: What comes before the first line, and before each problem of a file.
    """

    def hints(hint: str | None, code: str = "") -> list[str]:
        return [f"hint: {one_line(mask(hint))}{code}"] if hint else []

    code = f" [{error.code}]"
    if isinstance(error, InvalidFileError) and len(error.problems) > 1:
        problems = ([f"{label}{one_line(mask(str(each)))}", *hints(each.hint)] for each in error.problems)
        return [*chain.from_iterable(problems), *hints(error.hint), f"{len(error.problems)} problems{code}"]
    hint = error.hint
    if isinstance(error, InvalidFileError) and hint is None and error.problems:
        hint = error.problems[0].hint
    first, *more = error_lines(error, mask)
    return [f"{label}{first}{'' if hint else code}", *more, *hints(hint, code)]


def _shown(character: str) -> str:
    if unicodedata.category(character) in _UNSHOWN or character in _REORDERING:
        return character.encode("unicode_escape").decode()
    return character


def value(text: str | None) -> str:
    """Returns a value as people read it: NULL, quoted if ambiguous, cut if very long."""
    if text is None:
        return "NULL"
    if len(text) > _LONGEST_VALUE:
        return one_line(text, longest=_LONGEST_VALUE)
    shown = one_line(text)
    return f'"{shown}"' if shown != shown.strip() or shown in ("", "NULL") else shown


def column_lines(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> Iterator[str]:
    """Returns one line a column: its value, or the old and the new one."""
    names = list(dict.fromkeys((*before, *after)))
    width = max((len(one_line(name)) for name in names), default=0)
    for name in names:
        yield f"{one_line(name):<{width}}  {_change(name, before, after)}"


def _change(name: str, before: Mapping[str, str | None], after: Mapping[str, str | None]) -> str:
    if name not in before:
        return value(after[name])
    if name not in after:
        return value(before[name])
    return f"{value(before[name])} -> {value(after[name])}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listed(words: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *head, tail = words
    return f"{', '.join(head)} {last} {tail}" if head else tail


FILE = UnsetVariablesError.of_file


def not_set(names: Iterable[str]) -> str:
    """Returns which variables have no value here, and which files cannot be used."""
    known = list(names)
    shown = [f"${name}" for name in known if not name.startswith(FILE)]
    files = [f"{name} here" for name in known if name.startswith(FILE)]
    said = [f"{listed(shown)} {'is' if len(shown) == 1 else 'are'} not set here"] if shown else []
    return "; ".join([*said, *files])


def with_reason(text: str, reason: str) -> str:
    return f"{text}: {one_line(reason)}" if reason else text


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that is most like the given one; None if none is near."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str | None:
    """Returns a hint for an unknown name: the nearest one, else the given sentence, else all that are known."""
    names = sorted(set(known))
    near = nearest(name, names)
    if near is not None:
        return f"Did you mean {near!r}?"
    if otherwise is not None:
        return otherwise
    return f"Known: {', '.join(names)}." if names else None


def dumps(data: object, default: Callable[[object], object] = str) -> str:
    """Returns indented JSON without a line break at its end, with control and reordering characters escaped."""
    text = json.dumps(data, default=default, ensure_ascii=False, indent=2)
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
