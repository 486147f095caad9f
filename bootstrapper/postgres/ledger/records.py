"""Reads back what the ledger tells of runs and of the revisions that they applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from bootstrapper.postgres.ledger.ledger import UNREADABLE, LedgerNames, RunRecord

# A row of a ledger before version 2 has no role, and one before version 4 no project and no file.
_RUNS = """
SELECT r.run_id, r.serial, r.command, r.environment, r.started_at, r.finished_at, r.outcome, r.error,
       pg_catalog.to_jsonb(r) ->> 'role', r.host, r.pid, pg_catalog.to_jsonb(r) ->> 'project',
       pg_catalog.to_jsonb(r) ->> 'file', pg_catalog.to_jsonb(r) -> 'restored'
FROM {runs} AS r ORDER BY r.serial DESC LIMIT %s
"""
_REVISIONS = """
SELECT run_id, step, revision, action, seconds, noted_at FROM {revisions}
WHERE run_id = ANY (%s) AND action <> 'autocommit' ORDER BY id
"""
_REMARKS = """
SELECT s.run_id, pg_catalog.jsonb_array_elements_text(s.changes OPERATOR(pg_catalog.->) 'remarks') FROM {steps} AS s
WHERE s.run_id = ANY (%s) ORDER BY s.id
"""


@dataclass(frozen=True)
class RevisionRecord:
    """One revision that a run applied, took back or stamped."""

    step: str
    revision: str
    action: str
    seconds: float | None
    noted_at: datetime


@dataclass(frozen=True)
class RunHistory(RunRecord):
    """One run with who made it, what it did to the revisions, and what was lost by its changes.

    Attributes:
        restored: What a restore put back: `backup`, `taken_at`, `taken_by` and the revisions `from` and `to`.
    """

    error: str | None
    role: str | None
    host: str
    pid: int
    project: str | None
    file: str | None
    restored: Mapping[str, str | None] | None
    revisions: tuple[RevisionRecord, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None


def read_history(connection: Connection[Any], names: LedgerNames, most: int) -> list[RunHistory]:
    """Returns the latest runs, newest first. Raises one of ledger.UNREADABLE without a readable ledger."""
    runs = connection.execute(names.fill(_RUNS), (most,), binary=True).fetchall()
    ids = [row[0] for row in runs]
    found: dict[UUID, list[RevisionRecord]] = {run_id: [] for run_id in ids}
    for run_id, *facts in _revisions(connection, names, ids):
        found[run_id].append(RevisionRecord(*facts))
    told: dict[UUID, list[str]] = {run_id: [] for run_id in ids}
    for run_id, remark in connection.execute(names.fill(_REMARKS), (ids,), binary=True):
        told[run_id].append(remark)
    return [replace(RunHistory(*row), revisions=tuple(found[row[0]]), remarks=tuple(told[row[0]])) for row in runs]


def _revisions(connection: Connection[Any], names: LedgerNames, ids: list[UUID]) -> list[tuple[Any, ...]]:
    """None in a ledger before version 2."""
    try:
        with connection.transaction():
            return connection.execute(names.fill(_REVISIONS), (ids,), binary=True).fetchall()
    except UNREADABLE:
        return []


def last_environment(connection: Connection[Any], names: LedgerNames, besides: UUID | None = None) -> str | None:
    """Returns the environment of the latest run that named one."""
    query = names.fill(
        "SELECT environment FROM {runs} WHERE environment IS NOT NULL AND run_id IS DISTINCT FROM %s::uuid"
        " ORDER BY serial DESC LIMIT 1"
    )
    row = connection.execute(query, (besides,)).fetchone()
    return row[0] if row else None
