"""once: does the ledger hold a success of this id?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import StringConstraints

from bootstrapper.step import Answer, Check, Probe

_STATEMENT = """
SELECT pg_catalog.to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM {steps}
WHERE kind = 'result' AND marks @> ARRAY[%s]::text[] ORDER BY id LIMIT 1
"""


class OnceCheck(Check):
    """`once: ID`; the step's own success carries the id, so that it is asked after that row was written."""

    key = "once"
    Argument = Annotated[str, StringConstraints(min_length=1)]

    def probe(self) -> Probe:
        statement = self.project.ledger.fill(_STATEMENT)
        return Probe(statement, (self.argument,), missing=Answer.no("the ledger does not exist yet"))

    def answer(self, rows: Sequence[Sequence[Any]]) -> Answer:
        if not rows:
            return Answer.no(f"{self.argument} was never done")
        return Answer.yes(f"{self.argument} was done on {rows[0][0]} UTC")

    def marks(self) -> tuple[str, ...]:
        return (self.argument,)
