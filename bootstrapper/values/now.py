"""`$now`: when the row was created."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bootstrapper.step import Context, Value


class Now(Value):
    """`$now:` stands alone. The same moment for all rows of one step, in UTC, by this machine's clock."""

    key = "$now"
    create_only = True

    def check(self, argument: Any) -> None:
        if argument is not None:
            raise ValueError("$now takes no argument; write {$now: }")

    def resolve(self, context: Context, argument: Any) -> object:
        self.check(argument)
        return context.scratch.setdefault(self.key, datetime.now(UTC).isoformat())
