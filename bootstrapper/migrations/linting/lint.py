"""Says what the SQL of pending revisions would do to the tables that are there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg import Connection

from bootstrapper.dataclass import dataclass
from bootstrapper.migrations.linting import tables
from bootstrapper.migrations.linting.causes import Cause, Lock
from bootstrapper.migrations.linting.held import Held
from bootstrapper.migrations.linting.known import Known, Relation
from bootstrapper.migrations.linting.locks import Effect, effects_of
from bootstrapper.migrations.linting.tables import Table
from bootstrapper.plans import Hazard, HazardName, TableLock
from bootstrapper.postgres.connection.relations import locate
from bootstrapper.postgres.connection.statements import Statement, split
from bootstrapper.text import listed

BIG_TABLE_BYTES = 1024**3
BIG_TABLE_ROWS = 1_000_000

_MOST_RELATIONS = 5

_OPAQUE = (("DO",), ("CALL",))
_READ = "Read what it does."
_BRIEF = "Set a lock_timeout, so that it fails instead of letting other sessions queue behind it."


@dataclass(frozen=True)
class There:
    """Existing tables that the statements name, and existing objects without rows."""

    tables: Mapping[Relation, Table]
    objects: Collection[Relation]


@dataclass(frozen=True)
class Script:
    """SQL that is about to run.

    Attributes:
        target: What it is, such as "revision 4f1c".
        file: Where it comes from; empty if unknown.
        lines: The line of each statement in that file; empty if unknown.
    """

    target: str
    text: str
    file: str = ""
    lines: Sequence[int | None] = ()

    def place(self, position: int) -> str:
        """Returns file and line of a statement, as far as they are known."""
        line = self.lines[position] if position < len(self.lines) else None
        return f"{self.file}:{line}" if self.file and line is not None else self.file


def lint(
    connection: Connection[Any], scripts: Iterable[Script], *, transaction_per_script: bool = True
) -> list[Hazard | TableLock]:
    """Returns the hazards of each statement in this database, each name once, then the locks of each script.

    Only reads, in at most two round trips, in the current transaction; reading the size of a table waits while another
    session holds ACCESS EXCLUSIVE on it, so set a lock_timeout. There are no hazards about relations that do not
    exist, and about tables without rows only if the table or a column is dropped. Locks are those on tables
    with rows that are stronger than the lock of an ordinary write.
    """
    statements = [(script, split(script.text)) for script in scripts]
    named = list(_named(texts for _, texts in statements))
    there = There(tables.ask(connection, named), tables.objects(connection, named))
    return _linted(statements, there, transaction_per_script=transaction_per_script)


def lint_unseen(scripts: Iterable[Script], *, transaction_per_script: bool = True) -> list[Hazard]:
    """Returns the hazards without a database: what the statements do not create exists, and its tables have rows."""
    statements = [(script, split(script.text)) for script in scripts]
    named = list(_named(texts for _, texts in statements))
    assumed = {each: tables.Table.assumed(each) for each in named if each.has_rows}
    there = There(assumed, {each for each in named if not each.has_rows})
    found = _linted(statements, there, transaction_per_script=transaction_per_script)
    return [each for each in found if isinstance(each, Hazard)]


def _linted(
    statements: Iterable[tuple[Script, list[Statement]]], there: There, *, transaction_per_script: bool
) -> list[Hazard | TableLock]:
    known = tables.known(there.tables)
    found: list[Hazard] = []
    locks: dict[tuple[str, str], tuple[Lock, TableLock]] = {}
    held = Held()
    for script, texts in statements:
        held = Held() if transaction_per_script else held
        for position, effect in enumerate(effects_of(texts, known)):
            said = [*_hazards(effect, there), *held.writes(effect, there.tables)]
            found += [replace(each, target=script.target, place=script.place(position)) for each in said]
            held.take(effect, there.tables)
            for lock, taken in _locks(effect, there, script.target, script.place(position)):
                key = taken.target, taken.relation
                if key not in locks or lock > locks[key][0]:
                    locks[key] = lock, taken
    return [*found, *(taken for _, taken in locks.values())]


def located(connection: Connection[Any], scripts: Iterable[Script]) -> list[int]:
    """Returns the oids of the existing relations that the statements name; waits for no lock."""
    named = dict.fromkeys(_named(split(script.text) for script in scripts))
    return list(locate(connection, [(item.schema, item.name) for item in named if item.has_rows]).values())


def _named(statements: Iterable[list[Statement]]) -> Iterator[Relation]:
    known = Known()
    for texts in statements:
        for effect in effects_of(texts, known):
            yield from (relation for _, relation in effect.taken)


def _hazards(effect: Effect, there: There) -> Iterator[Hazard]:
    """Yields the hazards, still without target and place."""
    if effect.statement.words[:1] in _OPAQUE:
        yield Hazard(HazardName.UNKNOWN_SQL, "", f"{effect.shown} runs code whose effects cannot be read", _READ)
    if effect.lock is None:
        return
    causes = [cause for cause in effect.causes if _matters(cause, effect, there)]
    for cause in _first_of_each(causes):
        yield Hazard(cause.hazard, "", f"{_lead(effect, there)}{cause.consequence}", cause.remedy)
    is_brief = effect.lock is Lock.ACCESS_EXCLUSIVE and not causes
    if is_brief and any(_is_big(there.tables.get(item)) for item in effect.relations):
        yield Hazard(HazardName.BRIEF_LOCK, "", f"{_lead(effect, there)}, if only briefly", _BRIEF)


def _locks(effect: Effect, there: There, target: str, place: str) -> Iterator[tuple[Lock, TableLock]]:
    for lock, relation in effect.taken:
        table = there.tables.get(relation)
        if lock > Lock.ROW_EXCLUSIVE and table is not None and not table.is_empty:
            yield lock, TableLock(f"{table.schema}.{table.name}", lock.label, target, place)


def _first_of_each(causes: Sequence[Cause]) -> Iterable[Cause]:
    first: dict[HazardName, Cause] = {}
    for cause in causes:
        first.setdefault(cause.hazard, cause)
    return first.values()


def _matters(cause: Cause, effect: Effect, there: There) -> bool:
    if any(relation in there.objects for relation in effect.subjects):
        return True
    found = [there.tables[relation] for relation in effect.subjects if relation in there.tables]
    return any(cause.loses_data or not table.is_empty for table in found)


def _is_big(table: Table | None) -> bool:
    return table is not None and (table.total_bytes >= BIG_TABLE_BYTES or table.rows >= BIG_TABLE_ROWS)


def _lead(effect: Effect, there: There) -> str:
    assert effect.lock is not None
    shown = [tables.sized(relation, there.tables.get(relation)) for relation in effect.relations[:_MOST_RELATIONS]]
    more = len(effect.relations) - len(shown)
    named = listed([*shown, *([f"{more} more"] if more else [])])
    takes = f"{effect.shown} takes {effect.lock.label} on {named}"
    return takes if effect.lock is Lock.ROW_EXCLUSIVE else f"{takes}: {effect.blocks}"  # no lock of a danger
