"""table: does a table or view exist?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import StringConstraints

from bootstrapper.step import Answer, Check, Probe

_STATEMENT = """
SELECT count(*) > 0
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname = %s AND
"""
_IN_SCHEMA = f"{_STATEMENT} n.nspname = %s"
_IN_PATH = f"{_STATEMENT} n.nspname = ANY (pg_catalog.current_schemas(false))"


class TableCheck(Check):
    """`table: name` along the search path, or `table: schema.name`; letters count as they are written."""

    key = "table"
    Argument = Annotated[str, StringConstraints(pattern=r"^[^.]+(\.[^.]+)?$")]

    def probe(self) -> Probe:
        schema, _, name = self.argument.rpartition(".")
        return Probe(_IN_SCHEMA, (name, schema)) if schema else Probe(_IN_PATH, (name,))

    def answer(self, rows: Sequence[Sequence[Any]]) -> Answer:
        if rows[0][0]:
            return Answer.yes(f"table {self.argument} exists")
        return Answer.no(f"there is no table {self.argument}")
