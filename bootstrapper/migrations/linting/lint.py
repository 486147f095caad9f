"""Says what the SQL of pending revisions would do to the tables that are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from psycopg import Connection

from bootstrapper.migrations.linting import tables
from bootstrapper.migrations.linting.hazards import Hazard, Lock
from bootstrapper.migrations.linting.known import Known, Relation
from bootstrapper.migrations.linting.locks import Effect, effects_of
from bootstrapper.migrations.linting.tables import Table
from bootstrapper.plan import Finding
from bootstrapper.postgres.statements import Statement, split
from bootstrapper.wording import listed, one_line

BIG_TABLE_BYTES = 1024**3
BIG_TABLE_ROWS = 1_000_000

_LONGEST_STATEMENT = 100
_MOST_RELATIONS = 5

_BRIEF = "Set a lock_timeout, so that it gives up rather than let all others queue behind it."


def lint(connection: Connection[Any], sql_by_revision: Mapping[str, str]) -> list[Finding]:
    """One finding for each statement that is dangerous here, in the order of the revisions.

    Only reads, in one round trip, in whatever transaction the connection has; asking for the size of a table waits
    while another session holds ACCESS EXCLUSIVE on it, so set a lock_timeout. A table that is not there gives none, and
    one without rows only where it or a column is dropped.
    """
    statements = {revision: split(text) for revision, text in sql_by_revision.items()}
    there = tables.ask(connection, _named(statements.values()))
    known = tables.known(there)
    return [
        finding
        for revision, texts in statements.items()
        for effect in effects_of(texts, known)
        for finding in _findings(revision, effect, there)
    ]


def _named(statements: Iterable[list[Statement]]) -> Iterator[Relation]:
    known = Known()
    for texts in statements:
        for effect in effects_of(texts, known):
            yield from (relation for _, relation in effect.taken)


def _findings(revision: str, effect: Effect, there: Mapping[Relation, Table]) -> Iterator[Finding]:
    if effect.lock is None:
        return
    hazards = [hazard for hazard in effect.hazards if _matters(hazard, effect, there)]
    if hazards:
        yield Finding(f"revision {revision}", f"{_lead(effect, there)}{hazards[0].consequence}", hazards[0].remedy)
    elif effect.lock is Lock.ACCESS_EXCLUSIVE and any(_is_big(there.get(item)) for item in effect.relations):
        yield Finding(f"revision {revision}", f"{_lead(effect, there)}, if only briefly", _BRIEF)


def _matters(hazard: Hazard, effect: Effect, there: Mapping[Relation, Table]) -> bool:
    """Objects that have no rows are not looked up, so they count as being there."""
    if any(not relation.has_rows or relation.kind == "view" for relation in effect.subjects):
        return True
    found = [there[relation] for relation in effect.subjects if relation in there]
    return any(hazard.loses_data or not table.is_empty for table in found)


def _is_big(table: Table | None) -> bool:
    return table is not None and (table.total_bytes >= BIG_TABLE_BYTES or table.rows >= BIG_TABLE_ROWS)


def _lead(effect: Effect, there: Mapping[Relation, Table]) -> str:
    assert effect.lock is not None
    shown = [_sized(relation, there.get(relation)) for relation in effect.relations[:_MOST_RELATIONS]]
    more = len(effect.relations) - len(shown)
    named = listed([*shown, *([f"{more} more"] if more else [])])
    return f"{shortened(effect.statement.text)} takes {effect.lock.label} on {named}: {effect.blocks}"


def _sized(relation: Relation, table: Table | None) -> str:
    if table is None:
        return str(relation)
    name = one_line(table.name) if relation.kind == "index" else str(relation)
    return f"{name} ({table.size})"


def shortened(text: str) -> str:
    """A statement on one line of bounded length."""
    line = one_line(" ".join(text.split()))
    return line if len(line) <= _LONGEST_STATEMENT else f"{line[:_LONGEST_STATEMENT].rstrip()} ..."
