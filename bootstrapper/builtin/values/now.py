"""`$now`: the time at which the row is created."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bootstrapper.config.run_cache import Kept
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.value import Value

_NOW = Kept[str, str]()


class Now(Value):
    """`$now:` without an argument; the same time for all rows of a step, in UTC, by the clock of this machine."""

    key = "$now"
    create_only = True

    def check(self, argument: Any) -> None:
        if argument is not None:
            raise ValueError("$now takes no argument; write {$now: }")

    def resolve(self, context: Context, argument: Any) -> object:
        run = run_of(context)
        self.check(argument)
        return run.turn.of(_NOW).setdefault(self.key, datetime.now(UTC).isoformat())
