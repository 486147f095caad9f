"""never: runs the step every time."""

from __future__ import annotations

from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.context import Context


class NeverCheck(Check):
    """`check: never`."""

    key = "never"
    borrows_session = False
    is_settled = True
    asked_after = False

    def ask(self, context: Context) -> Answer:
        return Answer.no("always runs")
