"""Findings about what interrupted revisions left in the database, and the statements that repair it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from psycopg import Connection

from bootstrapper.deadline import Deadline
from bootstrapper.migrations.interrupted import invalid_objects
from bootstrapper.migrations.interrupted.autocommit import Interrupted, interrupted
from bootstrapper.migrations.interrupted.invalid_objects import InvalidObject, find_invalid_objects
from bootstrapper.migrations.state import State
from bootstrapper.plans import SQL, Change, Finding
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.cutoff import cut_off
from bootstrapper.postgres.connection.settings import greet, transaction
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock.hold import Hold

_BUILT_SINCE = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname), t.relname, c.relname
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indisvalid AND NOT pg_catalog.starts_with(n.nspname::text, 'pg_')
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint AS o WHERE o.conindid = c.oid)
  AND pg_catalog.format('%%I.%%I', n.nspname, c.relname) <> ALL (%s)
"""


def findings(context: RunContext, state: State | None) -> list[Finding]:
    """Returns findings, each with the statement that repairs it; `state` is None if nothing is pending."""
    with transaction(context.connection):
        revisions = interrupted(context, state)
        left = _to_repair(context, revisions)
    return [*(each.finding for each in revisions if each.is_of_this_file), *(each.finding for each in left)]


def repairs(context: RunContext, state: State | None) -> list[Change]:
    """Returns the same as changes, without those that no statement repairs."""
    with transaction(context.connection):
        found = _to_repair(context, interrupted(context, state))
    return [_change(each) for each in found if each.repair]


def _change(found: InvalidObject) -> Change:
    change = Change.run(f"repair {found.kind} {found.name}", reason=found.reason, payload=found)
    return replace(change, after={SQL: f"{found.repair};"})


def repair(context: RunContext, hold: Hold, found: Sequence[InvalidObject], deadline: Deadline) -> None:
    """Runs the statements on a connection of their own: the run's connection renews the lock's lease meanwhile.

    Raises MigrationError if the server refuses one.
    """
    if not found:
        return
    target, name = context.session.target, context.application_name
    timeout = None if context.session.server.pooled else 0  # they block no one while they wait, and end at the deadline
    with (
        closing(connect(target, deadline=deadline, application_name=name)) as connection,
        cut_off(connection, deadline),
    ):
        greet(connection)
        hold.announce(connection)
        for each in found:
            hold.require()
            context.report(each.repair)
            invalid_objects.repair(connection, [each], context.masker, lock_timeout_seconds=timeout)
    hold.require()


def _to_repair(context: RunContext, revisions: list[Interrupted]) -> list[InvalidObject]:
    """Drops an index that an interrupted revision will build again, and rebuilds all others."""
    found = find_invalid_objects(context.connection, context.project.ledger)
    repaired = [
        replace(each, repair=each.drop) if each.drop and _is_built_by(revisions, each) else each for each in found
    ]
    return [*_built_since(context.connection, context.project.ledger, revisions), *repaired]


def _is_built_by(revisions: list[Interrupted], found: InvalidObject) -> bool:
    (*_, index), (*_, table) = _parts(found.name), _parts(found.table)
    return found.kind == "index" and any(
        found.name not in each.indexes and each.builds(index, table) for each in revisions
    )


def _parts(name: str) -> list[str]:
    """Splits a qualified name, and removes the quotes."""
    return [
        part[1:-1].replace('""', '"') if part.startswith('"') else part
        for part in re.findall(r'"(?:[^"]|"")+"|[^."]+', name) or [""]
    ]


def _built_since(
    connection: Connection[Any], names: LedgerNames, revisions: list[Interrupted]
) -> Iterator[InvalidObject]:
    for each in revisions:
        rows = connection.execute(names.fill(_BUILT_SINCE), (list(each.indexes),)).fetchall()
        for name, table, index in rows:
            if each.builds(index, table):
                reason = f"was built by revision {each.revision.id} before it was interrupted, and will be built again"
                yield InvalidObject("index", name, table, reason, f"DROP INDEX CONCURRENTLY {name}")
