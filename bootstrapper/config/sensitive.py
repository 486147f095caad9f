"""Hides the secrets in a text that a person wrote, found by their names and places.

Variables are kept, since `${NAME}` only says where a secret comes from; their defaults are hidden.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from bootstrapper.config.secret_names import is_secret_name, is_secret_variable
from bootstrapper.masking import MASK

VARIABLE = re.compile(
    r"\$\{(?P<name>run\.url(?:\+\w+)?|(?:target\.)?[A-Za-z_]\w*)(?:(?P<kind>:[-?])(?P<rest>(?:[^}\\]|\\.)*))?\}"
)
_OPENING = re.compile(r"\$\{(?:target\.)?[A-Za-z_]\w*:-")


def _pieces(letter: str) -> str:
    """Returns a pattern for such letters, where a variable counts as one, whatever is in its default.

    Atomic, since a variable also matches letter by letter, and backtracking would try all combinations.
    """
    return rf"(?>\$\{{(?:[^}}\\]|\\.)*\}}|{letter})"


_NAME = r"(?P<name>[A-Za-z_][\w.-]*)"
# Matches at the beginning of a word only: from each letter, a word of 100 kB would take minutes.
_NAME_OF_SETTING = rf"(?<![\w.-])(?:(?![A-Za-z_])[\w.-])*{_NAME}"
_QUOTED = r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*\""""
_LITERAL = rf"[eE]?(?:{_QUOTED})|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
_LOGIN, _SETTING, _ANY, _CODE = (_pieces(letter) for letter in (r"[^\s:/@]", r"[^\s&;,]", r"\S", r"[\w.~+/=-]"))
# Where a secret stands in any text. Compiled when needed.
_PLACES = (
    # scheme://user:SECRET@host, up to the last @: a password may hold one. A cloud's token may have 2,000 letters.
    rf"://{_LOGIN}*:(?P<secret>{_ANY}{{1,4096}})@",
    rf"https?://(?P<secret>{_LOGIN}+)@",  # some services take a token as the user name
    rf"\b(?i:password|identified\s+by)\s+(?P<secret>(?s:{_LITERAL}))",
    rf"\b(?i:bearer|basic)\s+(?P<secret>{_CODE}+)",
)
# Where one stands if the name before it says so: connection string, query string, setting, option of a program.
_NAMED_PLACES = (
    rf"{_NAME_OF_SETTING}\s*=\s*(?P<secret>{_QUOTED}|{_SETTING}+)",
    rf"(?<!\S)--?{_NAME}\s+(?P<secret>{_QUOTED}|(?!-){_ANY}+)",
)


def hidden(text: str) -> str:
    """Returns the text with every secret in it as `***`, or as the variables that it comes from."""
    for start, end in reversed(_spans(text)):
        text = f"{text[:start]}{sources(text[start:end])}{text[end:]}"
    return VARIABLE.sub(lambda match: _without_default(match) if is_secret_variable(match["name"]) else match[0], text)


def hidden_words(words: Iterable[str]) -> list[str]:
    """Does the same for the arguments of a program, where a secret may follow its option."""
    shown: list[str] = []
    is_secret = False
    for word in words:
        shown.append(sources(word) if is_secret else hidden(word))
        is_secret = word.startswith("-") and "=" not in word and is_secret_name(word.lstrip("-"))
    return shown


def secrets_in(text: str) -> Iterator[str]:
    """Yields what `hidden` hides, with its variables as they are written."""
    for start, end in _spans(text):
        yield _unquoted(text[start:end])
    for match in VARIABLE.finditer(text):
        if is_secret_variable(match["name"]):
            yield match[0]


def sources(secret: str) -> str:
    """Returns what is shown of a secret: the variables in it, without their defaults."""
    named = "".join(_without_default(match) for match in VARIABLE.finditer(secret)) or MASK
    quote = secret[0] if secret[:1] in ("'", '"') and secret[-1:] == secret[:1] and len(secret) > 1 else ""
    return f"{quote}{named}{quote}"


def _spans(text: str) -> list[tuple[int, int]]:
    """Returns the spans of secrets, in order and disjoint."""
    found = _found(text)
    if _OPENING.search(text):
        found += _found_in_defaults(text)
    apart: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if apart and start < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((start, end))
    return apart


def _found(text: str) -> list[tuple[int, int]]:
    found = [match.span("secret") for pattern in _PLACES for match in re.finditer(pattern, text)]
    named = (match for pattern in _NAMED_PLACES for match in re.finditer(pattern, text))
    return found + [match.span("secret") for match in named if is_secret_name(match["name"])]


def _found_in_defaults(text: str) -> list[tuple[int, int]]:
    """Returns spans of secrets made by defaults of variables, as `app:s3cret` in `//${LOGIN:-app:s3cret}@host`."""
    kept, bounds, removed = [], [], [0]
    after = length = 0
    for opening in _OPENING.finditer(text):
        kept.append(text[after : opening.start()])
        length += opening.start() - after
        after = opening.end()
        bounds.append(length)
        removed.append(after - length)
    found = _found("".join([*kept, text[after:]]))
    variables = [match.span() for match in VARIABLE.finditer(text)]
    places = [(at + removed[bisect_right(bounds, at)], to + removed[bisect_left(bounds, to)]) for at, to in found]
    return list(_widened(places, variables)) if variables else places


def _widened(places: Iterable[tuple[int, int]], variables: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Extends each span to the bounds of the variables that it cuts, without the brace after a default."""
    starts = [start for start, _ in variables]
    for start, end in places:
        first, last = (variables[max(bisect_right(starts, at) - 1, 0)] for at in (start, end - 1))
        if first == last and first[0] < start < end <= first[1]:
            yield start, min(end, first[1] - 1)
            continue
        yield (
            min(start, first[0]) if first[0] < start < first[1] else start,
            max(end, last[1]) if last[0] < end < last[1] else end,
        )


def _unquoted(text: str) -> str:
    bare = text[1:] if text[:2].lower() in ("e'", 'e"') else text
    return bare[1:-1] if bare[:1] in ("'", '"') and bare[-1:] == bare[:1] and len(bare) > 1 else text


def _without_default(match: re.Match[str]) -> str:
    return f"${{{match['name']}:-{MASK}}}" if match["kind"] == ":-" else f"${{{match['name']}}}"
