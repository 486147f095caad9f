"""Facts about relations from earlier statements or from the server."""

from __future__ import annotations

import re
from dataclasses import field

from bootstrapper.dataclass import dataclass
from bootstrapper.migrations.linting import lockrules
from bootstrapper.migrations.linting.canonical import actions, each, folded, schema_and_name
from bootstrapper.text import one_line

_CREATED = lockrules.compiled(
    r"CREATE (?P<how>(?:(?:GLOBAL|LOCAL|TEMP|TEMPORARY|UNLOGGED|RECURSIVE|FOREIGN|MATERIALIZED) )*)"
    r"(?P<kind>TABLE|VIEW|SCHEMA|TYPE|DOMAIN|SEQUENCE|EXTENSION|FUNCTION|PROCEDURE) (?!IF NOT EXISTS){objects}"
)
_CREATED_INDEX = lockrules.compiled(r"CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?{exists}{other} ON (?:ONLY )?{table}")
_DROPPED = lockrules.compiled(r"DROP (?:FOREIGN )?TABLE {exists}{tables}")
_MOVED = lockrules.compiled(r"RENAME TO (?P<name>{name})$|SET SCHEMA (?P<schema>{name})$")
_NOT_NULL = lockrules.compiled(r"ADD {called}(?:CHECK \( (?:\( )?{column} IS NOT NULL \)|NOT NULL (?P<other>{name}))")
_LATER = lockrules.compiled("{later}")
_VALIDATED = lockrules.compiled(r"VALIDATE CONSTRAINT {constraint}")


@dataclass(frozen=True)
class Relation:
    """The object of a lock; `kind` is table, index (standing for its table), or another kind of object."""

    schema: str | None
    name: str
    kind: str = "table"

    @classmethod
    def read(cls, qualified: str, kind: str = "table") -> Relation:
        return cls(*schema_and_name(qualified), kind)

    @property
    def has_rows(self) -> bool:
        return self.kind in ("table", "index")

    def __str__(self) -> str:
        name = f"{self.schema}.{self.name}" if self.schema else self.name
        prefix = {"table": "", "index": "the table of index "}.get(self.kind, f"{self.kind} ")
        return one_line(prefix + name)


@dataclass
class Known:
    """The facts; they grow with each statement that is read.

    Attributes:
        checks: The column of each unvalidated constraint IS NOT NULL.
        proven: Columns that are known to contain no NULL.
        origins: The names of renamed tables on the server.
        tables: Tables of indexes.
    """

    created: set[Relation] = field(default_factory=set)
    checks: dict[tuple[Relation, str], str] = field(default_factory=dict)
    proven: set[tuple[Relation, str]] = field(default_factory=set)
    origins: dict[Relation, Relation] = field(default_factory=dict)
    tables: dict[Relation, Relation] = field(default_factory=dict)

    def existing(self, named: Relation) -> Relation | None:
        """Returns the relation on the server that a name stands for; None for one that the statements created."""
        table = self.tables.get(named, named)
        return None if table in self.created else self.origins.get(table, table)

    def learn(self, text: str) -> None:
        """Reads a statement in canonical text, other than ALTER TABLE."""
        if created := _CREATED.match(text):
            kind = "table" if created["how"].upper().endswith("MATERIALIZED ") else created["kind"].lower()
            relation = Relation.read(each(created["objects"])[0], kind)
            self.created.add(relation)
        elif index := _CREATED_INDEX.match(text):
            table = Relation.read(index["table"])
            self.tables[Relation(table.schema, schema_and_name(index["other"])[1], "index")] = table
        elif dropped := _DROPPED.match(text):
            self.created -= {Relation.read(name) for name in each(dropped["tables"])}

    def learn_alteration(self, match: re.Match[str]) -> None:
        """Reads an ALTER TABLE that lockrules.ALTER_TABLE matched."""
        table = Relation.read(match["table"])
        for action in actions(match["actions"]):
            if moved := _MOVED.match(action):
                self._move(table, moved)
            elif (existing := self.existing(table)) is not None:
                self._learn_constraint(action, existing)

    def _move(self, table: Relation, moved: re.Match[str]) -> None:
        name, schema = moved["name"], moved["schema"]
        new = Relation(folded(schema) if schema else table.schema, folded(name) if name else table.name)
        existing = self.existing(table)
        self.created -= {table, new}
        self.origins.pop(new, None)
        if existing is None:
            self.created.add(new)
        else:
            self.origins[new] = existing

    def _learn_constraint(self, action: str, table: Relation) -> None:
        if check := _NOT_NULL.match(action):
            column = folded(check["column"] or check["other"])
            if not _LATER.match(action):
                self.proven.add((table, column))
            elif check["constraint"]:
                self.checks[table, folded(check["constraint"])] = column
        elif validated := _VALIDATED.match(action):
            proved = self.checks.get((table, folded(validated["constraint"])))
            self.proven |= {(table, proved)} if proved else set()
