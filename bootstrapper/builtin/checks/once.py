"""once: whether the ledger has a success with this id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import StringConstraints

from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check, Probe
from bootstrapper.postgres.ledger.ledger import RESTORED_AS_OF

_STATEMENT = """
SELECT pg_catalog.to_char(s.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM {steps} AS s
WHERE s.kind = 'result' AND s.marks @> ARRAY[%s]::text[] AND NOT EXISTS (
    SELECT FROM {steps} AS r, pg_catalog.unnest(r.marks) AS mark WHERE r.id > s.id AND r.uses = 'restore'
      AND pg_catalog.starts_with(mark, %s) AND s.recorded_at > pg_catalog.substr(mark, %s)::timestamptz)
ORDER BY s.id LIMIT 1
"""


class OnceCheck(Check[Annotated[str, StringConstraints(min_length=1)]]):
    """`once: ID`; the step's own success carries the id, so the check is asked after that row was written."""

    key = "once"
    pure = True
    is_settled = True

    def probe(self) -> Probe:
        statement = self.project.ledger.fill(_STATEMENT)
        values = (self.argument, RESTORED_AS_OF, len(RESTORED_AS_OF) + 1)
        return Probe(statement, values, missing=Answer.no("the ledger does not exist yet"), borrows_session=False)

    def answer(self, rows: Sequence[Sequence[Any]]) -> Answer:
        if not rows:
            return Answer.no(f"{self.argument} was never done")
        return Answer.yes(f"{self.argument} was done on {rows[0][0]} UTC")

    def marks(self) -> tuple[str, ...]:
        return (self.argument,)
