"""pending: whether these steps have changes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.context import Context, run_of


class PendingCheck(Check[Annotated[list[str], Field(min_length=1)]]):
    """`pending: [migrate]`; yes if any of the named steps has changes, or may have."""

    key = "pending"
    pure = True
    borrows_session = False
    is_settled = True
    only_in_when = True

    def ask(self, context: Context) -> Answer:
        run = run_of(context)
        return run.pending(self.argument)

    def about(self) -> tuple[str, ...]:
        return tuple(self.argument)
