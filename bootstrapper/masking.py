"""Keeps secrets out of everything that is printed, logged or stored.

Two kinds of text leave the program. Text from outside (a server, a program, a file, a plugin) goes through `quote`,
which hides every secret in it. Our own text goes through `mask`, which hides only unmistakable secrets, so that a
password such as `wrong` does not tear holes into our sentences. A message of ours that quotes others is put together
from quoted parts.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache, cached_property
from operator import is_
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

MASK = "***"

T = TypeVar("T")

_SHORTEST = 8
"""Anything shorter could be a part of a word, a number or a name in our own sentences."""
_SHORTEST_LINE = 4
"""Of a secret of several lines, such as a key; shorter ones are brackets and the like."""
_WORD = re.compile(r"[^\W\d_]+")


class Masker:
    """Replaces every secret it was told of. One per invocation: secrets are learnt as they are read."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._names: frozenset[str] = frozenset()
        self._learning = threading.Lock()  # threads that connect learn passwords as well
        self._patterns = _Patterns(self._secrets, self._names)
        for secret in secrets:
            self.learn(secret)

    def learn(self, secret: str | None) -> None:
        """Hides the secret from now on, in each of its spellings; ignores an empty one."""
        with self._learning:
            found = {part for part in _parts(secret or "") if part not in self._secrets}
            if found:
                self._secrets |= found
                self._patterns = _Patterns(self._secrets, self._names)

    def spare(self, names: Iterable[str | None]) -> None:
        """Adds names that our own messages show, such as the database's: a secret equal to one is shown in them."""
        with self._learning:
            found = {name for name in names if name and name not in self._names}
            if found:
                self._names |= found
                self._patterns = _Patterns(self._secrets, self._names)

    def mask(self, text: str) -> str:
        """Returns a text of ours without the secrets that stand out in it."""
        return _replaced(self._patterns.distinct, text)

    def quote(self, text: str) -> str:
        """Returns a text of others without any secret; short ones and words are found where they stand alone."""
        return _replaced(self._patterns.all, text)


def masked(value: T, mask: Callable[[str], str]) -> T:
    """Returns the value with `mask` applied to all texts in it, also inside dataclasses, tuples and dictionaries.

    What holds no secret is returned as it is: a step may have 100,000 changes.
    """
    whole: Any = value
    found: Any
    if type(whole) is str:  # members of an enumeration are texts as well
        found = mask(whole)
        return value if found == whole else found
    if type(whole) is tuple:
        found = tuple(masked(each, mask) for each in whole)
        return value if all(map(is_, whole, found)) else found
    if isinstance(value, dict):
        found = {key: masked(each, mask) for key, each in value.items()}
        return value if all(found[key] is each for key, each in value.items()) else found
    if is_dataclass(value) and not isinstance(value, type):
        before = ((name, getattr(value, name)) for name in _names(type(value)))
        after = {name: new for name, old in before if (new := masked(old, mask)) is not old}
        return replace(whole, **after) if after else value
    return value


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.init)


class _Patterns:
    """The patterns to look for, compiled when first needed, since secrets are learnt one by one."""

    def __init__(self, secrets: frozenset[str], names: frozenset[str]) -> None:
        self._secrets = secrets
        self._names = names

    @cached_property
    def distinct(self) -> re.Pattern[str] | None:
        secrets = [secret for secret in self._secrets if not self._may_be_ours(secret)]
        return _joined({text: re.escape(text) for secret in secrets for text in _spelt(secret)})

    @cached_property
    def all(self) -> re.Pattern[str] | None:
        return _joined(
            {
                text: rf"(?<!\w){re.escape(text)}(?!\w)" if _may_be_part(secret) else re.escape(text)
                for secret in sorted(
                    self._secrets, key=_may_be_part, reverse=True
                )  # of two, the one that is found anywhere
                for text in _spelt(secret)
            }
        )

    def _may_be_ours(self, secret: str) -> bool:
        """Whether our own sentences and data may hold the text, whatever the secret is."""
        return _may_be_part(secret) or secret.isdecimal() or secret in self._names


def _may_be_part(secret: str) -> bool:
    """Whether the text may well be a part of another word, or a word itself."""
    return len(secret) < _SHORTEST or _WORD.fullmatch(secret) is not None


def _replaced(pattern: re.Pattern[str] | None, text: str) -> str:
    return pattern.sub(MASK, text) if pattern is not None else text


def _joined(patterns: Mapping[str, str]) -> re.Pattern[str] | None:
    """Joins patterns by the text that they find, longest first: one in another must not hide only that part."""
    found = sorted(patterns, key=lambda text: (-len(text), text))
    return re.compile("|".join(patterns[text] for text in found)) if found else None


def _parts(secret: str) -> Iterator[str]:
    """Yields the secret, without the white space around it, and its lines, since programs print lines."""
    whole = secret.strip()
    if whole:
        yield whole
    lines = whole.replace("\\n", "\n").splitlines()  # variables hold keys in one line
    if len(lines) > 1:
        yield from (line.strip() for line in lines if len(line.strip()) >= _SHORTEST_LINE)


def _spelt(secret: str) -> Iterator[str]:
    """Yields the spellings of a secret in URLs, servers' messages, logs and tracebacks.

    Not a part of the secret, what was made of it (a hash, a key, upper case), nor base64 of a longer text that it
    stands in: nothing that is known would tell those.
    """
    yield secret
    encoded = secret.encode(errors="surrogatepass")
    for spelling in (quote(encoded, safe=""), quote(encoded), quote_plus(encoded)):
        yield spelling
        yield re.sub(r"%[0-9A-F]{2}", lambda escape: escape[0].lower(), spelling)
    yield repr(secret)[1:-1]
    yield repr(encoded)[2:-1]
    for is_ascii in (True, False):
        yield json.dumps(secret, ensure_ascii=is_ascii)[1:-1]
    for doubled in ("'", '"', "\\", "%"):
        yield secret.replace(doubled, doubled * 2)
    yield secret.replace("\\", "\\\\").replace("'", "''")
    yield secret.replace("\\", "\\\\").replace("'", "\\'")
    yield secret.replace("'", "'\"'\"'")
    if len(secret) >= _SHORTEST:
        yield from (
            text.decode().rstrip("=") for text in (base64.b64encode(encoded), base64.urlsafe_b64encode(encoded))
        )
