"""Selects the steps of the file that a command goes through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bootstrapper.engine.entry import Entry
from bootstrapper.errors import Source, UsageError
from bootstrapper.plans import Answer
from bootstrapper.plugin.scopes import Gate, LockScope, Scope
from bootstrapper.plugin.step import Step, Unit
from bootstrapper.text import did_you_mean


def select(
    entries: Sequence[Entry], *, only: Sequence[str] = (), skip: Sequence[str] = (), types: Sequence[str] = ()
) -> tuple[Entry, ...]:
    """Returns the entries that a command asked for, with the gates and scopes around them.

    Args:
        types: Of the steps that the command is about, as `migrate`; none for one that is about all.
    """
    names = [entry.name for entry in entries]
    for name in (*only, *skip):
        if name not in names:
            raise UsageError(f"the file has no step {name!r}", hint=did_you_mean(name, names))
        if name in only and name in skip:
            raise UsageError(f"step {name!r} is both chosen and skipped", hint="Use either --step or --skip for it.")
    for entry in entries:
        if entry.name in skip and isinstance(entry.unit, LockScope):
            raise UsageError(f"{entry.name!r} cannot be skipped: steps write only while it is held")
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
            raise _none_of(kind, entries)
    asked = [_commanded(entry, is_named=entry.name in only) if entry.unit.uses in types else entry for entry in chosen]
    return tuple(entry for entry in asked if "wait" not in types or isinstance(entry.unit, Gate))


def _commanded(entry: Entry, *, is_named: bool) -> Entry:
    """Returns an entry whose type the command names, without the conditions that the command overrides.

    A `when` that the environment alone answers with no still holds, unless the step itself was named: it says where the
    step belongs, and not whether it is needed.
    """
    if not isinstance(entry.unit, Step):
        return entry
    if entry.unit.always_on_command:
        return replace(entry, when=None, check=None)
    if entry.when is None or is_named:
        return replace(entry, when=None)
    here = entry.when.evaluate(lambda check: check.beforehand() or Answer.unknown("the database is not asked"))
    return entry if here.is_no else replace(entry, when=None)


def with_operation(
    entries: Sequence[Entry], kind: type[Unit], make: Callable[[Unit], Unit], only: Sequence[str] = ()
) -> tuple[Entry, ...]:
    """Returns gates, scopes and one operation of a command, made from the step of its type.

    Raises UsageError if several steps may be meant.
    """
    select(entries, only=only)
    found = [entry for entry in entries if isinstance(entry.unit, kind) and (not only or entry.name in only)]
    if not found:
        raise _none_of(kind.uses, entries)
    if len(found) > 1:
        names = ", ".join(entry.name for entry in found)
        raise UsageError(f"the file has several steps that use {kind.uses!r}: {names}", hint="Name one with --step.")
    (entry,) = found
    return (*_around(entries, entry), replace(entry, unit=make(entry.unit), when=None, check=None))


def _around(entries: Sequence[Entry], step: Entry | None) -> tuple[Entry, ...]:
    """Returns gates and lock, and the scopes that the step stands in; of one that the file does not have, none."""
    inside = entries[: entries.index(step)] if step is not None else ()
    return tuple(
        entry
        for entry in entries
        if not isinstance(entry.unit, Step) and (not isinstance(entry.unit, Scope) or entry in inside)
    )


def _none_of(uses: str, entries: Sequence[Entry]) -> UsageError:
    """Returns the error of a command for steps of one type that is left without any."""
    names = [entry.name for entry in entries if entry.unit.uses == uses]
    if names:
        return UsageError(f"none of the chosen steps uses {uses!r}", hint=f"Of this type: {', '.join(names)}.")
    return UsageError(f"the file has no step that uses {uses!r}", hint=f"Add `- uses: {uses}` to steps:.")


def with_explicit(
    entries: Sequence[Entry],
    kind: type[Unit],
    options: Mapping[str, object],
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
) -> tuple[Entry, ...]:
    """Returns gates, scopes and one step of a type, with these options over its own, and without conditions.

    It is the first chosen step of that type; a file without any gets one with nothing but these options.
    """
    chosen = select(entries, only=only, skip=skip)
    found = next((entry for entry in chosen if isinstance(entry.unit, kind)), None)
    if found is None and (only or skip):
        raise _none_of(kind.uses, entries)
    name = found.name if found is not None else kind.uses
    declared = found.unit.options if found is not None else kind.options_type.model_construct()
    unit = kind(name, declared.model_copy(update=options))
    if isinstance(unit, Gate):
        return (Entry(name, unit, None, None, found.source if found is not None else Source("", 0, 0)),)
    around = _around(entries, found)
    if not any(isinstance(entry.unit, LockScope) for entry in around):
        raise UsageError(f"{kind.uses} writes, but the file has no lock", hint="Add `- uses: lock` to steps:.")
    return (*around, Entry(name, unit, None, None, found.source if found is not None else Source("", 0, 0)))
