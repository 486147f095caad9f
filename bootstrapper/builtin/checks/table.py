"""table: whether a table or view exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import StringConstraints

from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check, Probe

_STATEMENT = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}') AND c.relname OPERATOR(pg_catalog.=) %s
      AND n.nspname OPERATOR(pg_catalog.=) {schema})
"""
_IN_SCHEMA = _STATEMENT.replace("{schema}", "%s")
_IN_PATH = _STATEMENT.replace("{schema}", "ANY (pg_catalog.current_schemas(false))")


class TableCheck(Check[Annotated[str, StringConstraints(pattern=r"^[^.]+(\.[^.]+)?$")]]):
    """`table: name` in the search path, or `table: schema.name`; names are case-sensitive."""

    key = "table"
    pure = True

    def probe(self) -> Probe:
        schema, _, name = self.argument.rpartition(".")
        return Probe(_IN_SCHEMA, (name, schema)) if schema else Probe(_IN_PATH, (name,))

    def answer(self, rows: Sequence[Sequence[Any]]) -> Answer:
        if rows[0][0]:
            return Answer.yes(f"table {self.argument} exists")
        return Answer.no(f"table {self.argument} does not exist")
