"""sql: whether the first column of the first row is true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from bootstrapper.errors import CheckFailedError
from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check, Probe
from bootstrapper.postgres.connection.statements import split


def _one_question(text: str) -> str:
    if "\0" in text:
        raise ValueError("SQL cannot contain a NUL character")
    statements = split(text)
    if len(statements) != 1:
        raise ValueError(f"needs one statement, not {len(statements)}")
    if statements[0].controls_transactions:
        raise ValueError(f"{statements[0].words[0]} would leave the READ ONLY transaction that checks run in")
    return statements[0].text


class SqlCheck(
    Check[Annotated[str, AfterValidator(_one_question), WithJsonSchema({"type": "string", "pattern": r"\S"})]]
):
    """`sql: SELECT ...`, executed in a READ ONLY transaction."""

    key = "sql"
    pure = True

    def probe(self) -> Probe:
        return Probe(self.argument)

    def answer(self, rows: Sequence[Sequence[Any]]) -> Answer:
        if not rows:
            return Answer.no("the query returned no row")
        first = rows[0][0] if rows[0] else None
        if first is None:
            return Answer.no("the query returned NULL")
        if not isinstance(first, bool):
            reason = f"its first column is {type(first).__name__}, not boolean"
            raise CheckFailedError(self.key, reason, source=self.source)
        return Answer.yes("the query returned true") if first else Answer.no("the query returned false")
