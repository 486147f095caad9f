"""`rows`: does a table have enough rows?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql
from pydantic import Field, field_validator

from bootstrapper.fixtures.statements import AND, raw
from bootstrapper.fixtures.tables import TableName
from bootstrapper.fixtures.texts import scalar_text
from bootstrapper.plan import Answer
from bootstrapper.postgres.statements import fault_in_expression
from bootstrapper.step import Check, Probe, StepModel


class RowsArgument(StepModel):
    table: str = Field(description="table or schema.table")
    where: str | dict[str, Any] | None = Field(None, description="An SQL condition, or values by column.")
    at_least: int = Field(1, ge=0, description="How many rows there have to be.")

    @field_validator("table")
    @classmethod
    def _is_a_table(cls, value: str) -> str:
        TableName.parse(value)
        return value

    @field_validator("where")
    @classmethod
    def _is_a_condition(cls, value: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
        if isinstance(value, dict) and any(isinstance(item, list | dict) for item in value.values()):
            raise ValueError("compares columns with single values; write anything else as an SQL condition")
        if value is not None and not (value if isinstance(value, dict) else value.strip()):
            raise ValueError("is empty; leave it out to count all rows")
        fault = fault_in_expression(value) if isinstance(value, str) else None
        if fault is not None:
            raise ValueError(f"{fault}; it has to be one SQL condition")
        return value


class RowsCheck(Check):
    """`rows: {table: users, where: {role: admin}, at_least: 1}`. Stops counting once there are enough."""

    key = "rows"
    Argument = RowsArgument

    def probe(self) -> Probe:
        # Values are literals, not parameters: without parameters `%` in names and conditions means nothing.
        return Probe(
            sql.SQL("SELECT count(*) FROM (SELECT FROM {table} WHERE {where} LIMIT {limit}) AS found").format(
                table=TableName.parse(self.argument.table).identifier,
                where=_condition(self.argument.where),
                limit=sql.Literal(self.argument.at_least),
            )
        )

    def answer(self, rows: Sequence[Sequence[Any]]) -> Answer:
        found, wanted = int(rows[0][0]), self.argument.at_least
        matching = "matching rows" if self.argument.where else "rows"
        if found >= wanted:
            return Answer.yes(f"{self.argument.table} has {wanted} or more {matching}")
        return Answer.no(f"{self.argument.table} has {found} of {wanted} {matching}")


def _condition(where: str | Mapping[str, Any] | None) -> sql.Composable:
    if where is None:
        return sql.SQL("TRUE")
    if isinstance(where, str):
        return sql.SQL("({}\n)").format(raw(where))  # the line break ends a comment at its end
    return AND.join(_equals(sql.Identifier(column), scalar_text(value)) for column, value in where.items())


def _equals(column: sql.Identifier, text: str | None) -> sql.Composed:
    if text is None:
        return sql.SQL("{} IS NULL").format(column)
    return sql.SQL("{} = {}").format(column, sql.Literal(text))  # without a type of its own it takes the column's
