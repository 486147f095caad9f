"""The server's errors as they may be shown: the primary message, without the values that it quotes.

CONTEXT, which holds parameters, is never shown, and DETAIL only where it names a key; that of others holds whole rows.
"""

from __future__ import annotations

import re

import psycopg

from bootstrapper.masking import MASK, Masker
from bootstrapper.postgres.connection.sqlstates import QUOTES_A_KEY, SYNTAX_ERROR

_MARKS = '"«»„“”「」'  # as the languages of the server have them, in any order
_QUOTED = re.compile(rf"[{_MARKS}]([^{_MARKS}]*)[{_MARKS}]")
_FROM_FIRST_TO_LAST = re.compile(rf"([{_MARKS}]).*([{_MARKS}])", re.DOTALL)
_LONGEST_DETAIL = 1000
_DATA = "22"


def said(error: psycopg.Error) -> str:
    """Returns the server's primary message; without one, the first line of what the driver says."""
    return error.diag.message_primary or str(error).partition("\n")[0] or type(error).__name__


def said_without_values(error: psycopg.Error, written: str = "", *, is_filled_in: bool = False) -> str:
    """Returns the same for a statement that may hold secrets, or that reads rows.

    What the server quotes stays if the file has it as written: a value may be a part of a secret, such
    as what stands behind a quote in it, that no masker would know.

    Args:
        written: What the file has, with variables as `${NAME}`.
        is_filled_in: Whether variables stand in the statement, so that even a name in it may be such a part.
    """
    text, sqlstate = said(error), error.sqlstate or ""
    may_quote_values = (
        sqlstate.startswith(_DATA) or sqlstate == SYNTAX_ERROR or (is_filled_in and sqlstate.startswith("42"))
    )
    return without_values(text, written) if may_quote_values else text


def key_detail(sqlstate: str | None, detail: str | None, masker: Masker) -> str | None:
    """Returns the server's DETAIL if it names a key without a secret; the rest beside a mask would reveal it."""
    if not detail or sqlstate not in QUOTES_A_KEY or masker.quote(detail) != detail:
        return None
    return detail if len(detail) <= _LONGEST_DETAIL else f"{detail[:_LONGEST_DETAIL]} ..."


def without_values(text: str, written: str = "") -> str:
    """Returns the text without what stands in quotes in it, unless all of that was written by hand."""
    parts = _QUOTED.findall(text)
    are_names = not set(_QUOTED.sub("", text)) & set(_MARKS) and all(parts)  # a value may hold quotes itself
    if are_names and all(_is_written(part, written) for part in parts):
        return text
    return _FROM_FIRST_TO_LAST.sub(rf"\g<1>{MASK}\g<2>", text)


def _is_written(part: str, written: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", written) is not None
