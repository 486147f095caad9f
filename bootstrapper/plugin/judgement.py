"""What a run keeps of the judgement of hazards, until it is made again under the lock."""

from __future__ import annotations

from bootstrapper.config.run_cache import Kept, RunCache
from bootstrapper.plans import Finding

HELD_ROWS = Kept[None, bool]()
"""Whether the database held rows when the run first asked."""
LOCKED = Kept[str, Finding]()
"""By step, why hazards could not be told: another session had locked the tables."""


def forget(cache: RunCache) -> None:
    """Makes the next judgement read everything again: another run may have been at work since the last one."""
    cache.of(HELD_ROWS).clear()
    cache.of(LOCKED).clear()
