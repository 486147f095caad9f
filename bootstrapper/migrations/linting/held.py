"""Locks that a transaction holds while later statements of it write many rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bootstrapper.migrations.linting.canonical import canonical, without_parentheses
from bootstrapper.migrations.linting.causes import Lock
from bootstrapper.migrations.linting.known import Relation
from bootstrapper.migrations.linting.locks import Effect
from bootstrapper.migrations.linting.tables import Table, sized
from bootstrapper.plans import Hazard, HazardName

MANY_ROWS = 10_000
"""From this size on, a statement with WHERE counts too, although the number of its rows is unknown."""

_WRITES = frozenset({"UPDATE", "DELETE", "MERGE"})
_WHERE = re.compile(r"\bWHERE\b", re.IGNORECASE)
_REMEDY = "Backfill the rows in a later revision, in batches."


@dataclass
class Held:
    """The tables that a transaction has locked against reads and writes, each with the statement that did."""

    locks: dict[Relation, Effect] = field(default_factory=dict)

    def take(self, effect: Effect, there: Mapping[Relation, Table]) -> None:
        """Records the locks of a statement, except on tables without rows."""
        if effect.statement.controls_transactions:
            self.locks.clear()
        for lock, relation in effect.taken:
            if lock is Lock.ACCESS_EXCLUSIVE and relation in there and not there[relation].is_empty:
                self.locks.setdefault(relation, effect)

    def writes(self, effect: Effect, there: Mapping[Relation, Table]) -> Iterator[Hazard]:
        """Yields a hazard, still without target and place, for a statement that writes many rows under such a lock."""
        if not self.locks or _WRITES.isdisjoint(effect.statement.words[:1]):
            return
        for taken, relation in effect.taken:
            table = there.get(relation)
            if taken is not Lock.ROW_EXCLUSIVE or table is None or table.is_empty:
                continue
            is_bounded = _WHERE.search(without_parentheses(canonical(effect.statement.text))) is not None
            if is_bounded and 0 < table.rows < MANY_ROWS:
                continue
            held, first = next(iter(self.locks.items()))
            written = f"{'up to ' if is_bounded else ''}all rows of {sized(relation, table)}"
            lock = f"{Lock.ACCESS_EXCLUSIVE.label} on {held}, taken by {first.shown}, is held"
            blocks = f"{Lock.ACCESS_EXCLUSIVE.blocks} until the transaction ends"
            message = f"{effect.shown} writes {written} while {lock}: {blocks}"
            yield Hazard(HazardName.LONG_LOCK, "", message, _REMEDY)
