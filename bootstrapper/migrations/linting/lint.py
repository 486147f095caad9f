"""Says what the SQL of pending revisions would do to the tables that are there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from bootstrapper.migrations.linting import tables
from bootstrapper.migrations.linting.hazards import Hazard, Lock
from bootstrapper.migrations.linting.held import Held
from bootstrapper.migrations.linting.known import Known, Relation
from bootstrapper.migrations.linting.locks import Effect, effects_of
from bootstrapper.migrations.linting.tables import Table
from bootstrapper.plans import Finding
from bootstrapper.postgres.connection.statements import Statement, split
from bootstrapper.text import listed

BIG_TABLE_BYTES = 1024**3
BIG_TABLE_ROWS = 1_000_000

_MOST_RELATIONS = 5

_BRIEF = "Set a lock_timeout, so that it fails instead of letting other sessions queue behind it."


@dataclass(frozen=True)
class There:
    """Existing tables that the statements name, and existing objects without rows."""

    tables: Mapping[Relation, Table]
    objects: Collection[Relation]


def lint(
    connection: Connection[Any], sql_by_revision: Mapping[str, str], *, transaction_per_revision: bool = True
) -> list[Finding]:
    """Returns one finding for each statement that is dangerous in this database, in the order of the revisions.

    Only reads, in at most two round trips, in the current transaction; reading the size of a table waits while another
    session holds ACCESS EXCLUSIVE on it, so set a lock_timeout. There are no findings about relations that do not
    exist, and about tables without rows only if the table or a column is dropped.
    """
    statements = {revision: split(text) for revision, text in sql_by_revision.items()}
    named = list(_named(statements.values()))
    there = There(tables.ask(connection, named), tables.objects(connection, named))
    known = tables.known(there.tables)
    findings: list[Finding] = []
    held = Held()
    for revision, texts in statements.items():
        held = Held() if transaction_per_revision else held
        for effect in effects_of(texts, known):
            findings += _findings(revision, effect, there)
            findings += [Finding(f"revision {revision}", *said) for said in held.writes(effect, there.tables)]
            held.take(effect, there.tables)
    return findings


def _named(statements: Iterable[list[Statement]]) -> Iterator[Relation]:
    known = Known()
    for texts in statements:
        for effect in effects_of(texts, known):
            yield from (relation for _, relation in effect.taken)


def _findings(revision: str, effect: Effect, there: There) -> Iterator[Finding]:
    if effect.lock is None:
        return
    hazards = [hazard for hazard in effect.hazards if _matters(hazard, effect, there)]
    if hazards:
        yield Finding(f"revision {revision}", f"{_lead(effect, there)}{hazards[0].consequence}", hazards[0].remedy)
    elif effect.lock is Lock.ACCESS_EXCLUSIVE and any(_is_big(there.tables.get(item)) for item in effect.relations):
        yield Finding(f"revision {revision}", f"{_lead(effect, there)}, if only briefly", _BRIEF)


def _matters(hazard: Hazard, effect: Effect, there: There) -> bool:
    if any(relation in there.objects for relation in effect.subjects):
        return True
    found = [there.tables[relation] for relation in effect.subjects if relation in there.tables]
    return any(hazard.loses_data or not table.is_empty for table in found)


def _is_big(table: Table | None) -> bool:
    return table is not None and (table.total_bytes >= BIG_TABLE_BYTES or table.rows >= BIG_TABLE_ROWS)


def _lead(effect: Effect, there: There) -> str:
    assert effect.lock is not None
    shown = [tables.sized(relation, there.tables.get(relation)) for relation in effect.relations[:_MOST_RELATIONS]]
    more = len(effect.relations) - len(shown)
    named = listed([*shown, *([f"{more} more"] if more else [])])
    return f"{effect.shown} takes {effect.lock.label} on {named}: {effect.blocks}"
