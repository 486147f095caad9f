"""The value of a plain scalar, by the core schema of YAML 1.2 without its surprises.

`no`, `on`, `010`, `0x1f`, `22:22`, `2024-02-30` and `.inf` are text. Numbers are those that JSON knows.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal

_LONGEST_NUMBER = 4000  # digits; Python refuses to convert more than 4300
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
# A longer exponent would let a few bytes stand for gigabytes of digits when converted to int.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_FIRST = frozenset("-0123456789")

Scalar = str | int | Decimal | bool | None


class Number(Decimal):
    """A number that reads as it was written: 1e5 stays 1e5."""

    __slots__ = ("_written",)
    _written: str

    def __new__(cls, written: str) -> Number:
        number = super().__new__(cls, written)
        number._written = written
        return number

    def __str__(self) -> str:
        return self._written

    def __format__(self, spec: str, context: Context | None = None, /) -> str:
        return super().__format__(spec, context) if spec else self._written


def plain(text: str) -> Scalar:
    """Returns the value of a scalar without quotes and without a tag."""
    if text in _WORDS:
        return _WORDS[text]
    return number(text) if text[0] in _FIRST else text


def number(text: str) -> Scalar:
    """Returns an int or a Decimal, or the text itself where it is neither."""
    found = _NUMBER.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if found is None:
        return text
    if found.lastindex is None:  # neither a fraction nor an exponent
        return int(text)
    decimal = Decimal(text)
    return decimal if str(decimal) == text else Number(text)


def tagged(kind: str, text: str) -> Scalar:
    """Returns the value of a scalar with a core tag such as `!!int`; raises ValueError if the text does not fit it."""
    value = plain(text)
    if kind == "str":
        return text
    if kind == "null" and value is None:
        return None
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "float" and isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Decimal(text)
    raise ValueError(f"not a valid {kind}")
