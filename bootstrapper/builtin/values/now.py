"""`$now`: the time at which the row is created."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bootstrapper.plugin.step import Context, Value


class Now(Value):
    """`$now:` without an argument; the same time for all rows of a step, in UTC, by the clock of this machine."""

    key = "$now"
    create_only = True

    def check(self, argument: Any) -> None:
        if argument is not None:
            raise ValueError("$now takes no argument; write {$now: }")

    def resolve(self, context: Context, argument: Any) -> object:
        self.check(argument)
        return context.scratch.setdefault(self.key, datetime.now(UTC).isoformat())
