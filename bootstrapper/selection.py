"""Which steps of the file a command goes through."""

from __future__ import annotations

from collections.abc import Sequence

from bootstrapper.errors import UsageError
from bootstrapper.resolver import Entry
from bootstrapper.step import Gate, Step
from bootstrapper.suggestions import did_you_mean


def select(
    entries: Sequence[Entry], *, only: Sequence[str] = (), skip: Sequence[str] = (), types: Sequence[str] = ()
) -> tuple[Entry, ...]:
    """The entries that a command asked for, with the gates and scopes around them."""
    names = [entry.name for entry in entries]
    for name in (*only, *skip):
        if name not in names:
            raise UsageError(f"the file has no step {name!r}", hint=did_you_mean(name, names))
    chosen = [
        entry
        for entry in entries
        if entry.name not in skip
        and (
            not isinstance(entry.unit, Step)
            or ((not only or entry.name in only) and (not types or entry.unit.uses in types))
        )
    ]
    for kind in types:
        if not any(entry.unit.uses == kind for entry in chosen):
            raise UsageError(f"the file has no step that uses {kind!r}", hint=f"Add `- uses: {kind}` to steps:.")
    return tuple(entry for entry in chosen if "wait" not in types or isinstance(entry.unit, Gate))
