"""Masks the texts that a plugin makes, where they enter: they may hold any secret, in any spelling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from bootstrapper.masking import masked
from bootstrapper.plans import Change

Quote = Callable[[str], str]

_QUOTE: ContextVar[Quote] = ContextVar("quote", default=str)


@contextmanager
def quoting(quote: Quote) -> Iterator[None]:
    """Within it texts of plugins are masked by the masker of one invocation."""
    token = _QUOTE.set(quote)
    try:
        yield
    finally:
        _QUOTE.reset(token)


def quoted(found: Any) -> Any:
    """Returns what a plugin made without secrets: a text, one of our dataclasses, or a list of them.

    The payload of a change stays as it is: it is never shown.
    """
    quote = _QUOTE.get()
    if isinstance(found, list):
        return [quoted(each) for each in found]
    if isinstance(found, Change):
        shown = masked(replace(found, payload=None), quote)
        before, after = ({quote(key): each for key, each in side.items()} for side in (shown.before, shown.after))
        return replace(shown, before=before, after=after, payload=found.payload)
    return masked(found, quote)


def quote_error(error: BaseException) -> None:
    """Masks, in place, the texts of an error that a plugin made; not its place in the file."""
    quote = _QUOTE.get()
    error.args = masked(error.args, quote)
    for name, value in vars(error).items():
        if name != "source" and (found := masked(value, quote)) is not value:
            setattr(error, name, found)
