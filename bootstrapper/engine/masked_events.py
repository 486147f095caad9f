"""Masks the texts of events, whatever they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bootstrapper.events import Event, StepApplied, StepUnchanged
from bootstrapper.masking import Masker, masked
from bootstrapper.plans import Change


def masked_event(event: Event, masker: Masker) -> Event:
    """Returns the event without secrets.

    A step may have 100,000 changes: their texts are searched as one, and masked one by one only if a secret is found.
    """
    if isinstance(event, StepApplied | StepUnchanged):
        changes = event.result.changes
        if len(changes) > 1 and not _has_secret(changes, masker):
            rest = masked(replace(event, result=replace(event.result, changes=())), masker.mask)
            return replace(rest, result=replace(rest.result, changes=changes))
    return masked(event, masker.mask)


def _has_secret(changes: Sequence[Change], masker: Masker) -> bool:
    texts = (
        text
        for change in changes
        for text in (change.target, change.reason, change.origin, *change.before.values(), *change.after.values())
        if text
    )
    whole = "\n".join(texts)
    return masker.mask(whole) != whole
