"""`$now`: when the row was created."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bootstrapper.step import Context, Value


class Now(Value):
    """`$now:` stands alone. The same moment for all rows of one step, in UTC, by this machine's clock."""

    key = "$now"
    create_only = True

    def resolve(self, context: Context, argument: Any) -> object:
        if argument is not None:
            raise ValueError("$now takes no argument; write {$now: }")
        return context.scratch.setdefault(self.key, datetime.now(UTC).isoformat())
