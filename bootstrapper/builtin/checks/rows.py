"""`rows`: whether a table has enough rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql
from pydantic import Field, field_validator

from bootstrapper.fixtures.table.statements import AND, raw
from bootstrapper.fixtures.table.tables import TableName
from bootstrapper.fixtures.table.texts import scalar_text
from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check, Probe
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.options import StepModel
from bootstrapper.postgres.connection.relations import locate
from bootstrapper.postgres.connection.statements import fault_in_expression


class RowsArgument(StepModel):
    table: str = Field(description="table or schema.table")
    where: str | dict[str, Any] | None = Field(None, description="An SQL condition, or values by column.")
    at_least: int = Field(1, ge=0, description="Minimum number of rows.")

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
            raise ValueError(f"{fault}; it must be one SQL condition")
        return value


# The type's own `=`, and that of the type below a domain: by its name alone, another one might be found.
_COLUMNS = """
SELECT n.nspname, c.relname, a.attname, coalesce((
    SELECT s.nspname FROM pg_catalog.pg_operator AS o JOIN pg_catalog.pg_namespace AS s ON s.oid = o.oprnamespace
    WHERE o.oprname = '=' AND (o.oprcanmerge OR o.oprcanhash) AND o.oprleft = b.oid AND o.oprright = b.oid
    ORDER BY s.nspname <> 'pg_catalog' LIMIT 1), 'pg_catalog')
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
JOIN pg_catalog.pg_type AS b ON b.oid = coalesce(NULLIF(t.typbasetype, 0), t.oid)
WHERE c.oid = %s
"""


class RowsCheck(Check[RowsArgument]):
    """`rows: {table: users, where: {role: admin}, at_least: 1}`; stops counting once there are enough."""

    key = "rows"
    pure = True
    borrows_session = False

    def probe(self) -> Probe | None:
        """Returns None if values are compared: the operators depend on the types of the columns."""
        if isinstance(self.argument.where, dict):
            return None
        where: sql.Composable = sql.SQL("TRUE")
        if self.argument.where is not None:
            where = sql.SQL("({}\n)").format(raw(self.argument.where))  # the line break ends a comment at its end
        return Probe(self._count(TableName.parse(self.argument.table).identifier, where))

    def ask(self, context: Context) -> Answer:
        name, where = TableName.parse(self.argument.table), self.argument.where
        assert isinstance(where, dict)  # of all else, `probe` asks
        located = locate(context.connection, [(name.schema, name.name)])
        columns = context.connection.execute(_COLUMNS, (located[0],)).fetchall() if located else []
        if not columns:
            return Answer.unknown(f"table {name} does not exist")
        operators = {column: operator for _, _, column, operator in columns}
        missing = [column for column in where if column not in operators]
        if missing:
            return Answer.unknown(f"table {name} has no column {', '.join(missing)}")
        values = [_equals(column, operators[column], scalar_text(value)) for column, value in where.items()]
        count = self._count(sql.Identifier(*columns[0][:2]), AND.join(values))
        return self.answer(context.connection.execute(count).fetchall())

    def _count(self, table: sql.Identifier, where: sql.Composable) -> sql.Composed:
        """Returns the query with values as literals: without parameters, `%` in names and conditions is not special."""
        query = "SELECT pg_catalog.count(*) FROM (SELECT FROM {table} WHERE {where} LIMIT {limit}) AS found"
        return sql.SQL(query).format(table=table, where=where, limit=sql.Literal(self.argument.at_least))

    def answer(self, rows: Sequence[Sequence[Any]]) -> Answer:
        found, wanted = int(rows[0][0]), self.argument.at_least
        matching = "matching rows" if self.argument.where else "rows"
        if found >= wanted:
            return Answer.yes(f"{self.argument.table} has {wanted} or more {matching}")
        return Answer.no(f"{self.argument.table} has {found} of {wanted} {matching}")


def _equals(column: str, operator: str, text: str | None) -> sql.Composed:
    name = sql.Identifier(column)
    if text is None:
        return sql.SQL("{} IS NULL").format(name)
    # Without a type of its own the value takes the column's.
    return sql.SQL("{} OPERATOR({}.=) {}").format(name, sql.Identifier(operator), sql.Literal(text))
