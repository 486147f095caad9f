"""What somebody who misspelt a name probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like the given one; None where none is near."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str | None:
    """A hint for an unknown name: the nearest one, else the given sentence, else all that are known."""
    names = sorted(set(known))
    near = nearest(name, names)
    if near is not None:
        return f"Did you mean {near!r}?"
    if otherwise is not None:
        return otherwise
    return f"Known: {', '.join(names)}." if names else None
