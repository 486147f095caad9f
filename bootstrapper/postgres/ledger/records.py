"""Reads back what the ledger tells of runs, of their steps and of the revisions that they applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from bootstrapper.dataclass import dataclass
from bootstrapper.plans import Action
from bootstrapper.postgres.ledger.ledger import UNREADABLE, LedgerNames, RunRecord
from bootstrapper.postgres.ledger.run_ids import SHORTEST_END

# A row of a ledger before version 2 has no role, and one before version 4 no project and no file.
_RUNS = """
SELECT r.run_id, r.serial, r.command, r.environment, r.started_at, r.finished_at, r.outcome, r.error,
       pg_catalog.to_jsonb(r) ->> 'role', r.host, r.pid, pg_catalog.to_jsonb(r) ->> 'project',
       pg_catalog.to_jsonb(r) ->> 'file', pg_catalog.to_jsonb(r) -> 'restored', r.version, r.inputs, r.plan
FROM {runs} AS r WHERE %(run_id)s::uuid IS NULL OR r.run_id = %(run_id)s::uuid ORDER BY r.serial DESC LIMIT %(most)s
"""
_FIND = """
SELECT r.run_id, r.serial::text = %(text)s FROM {runs} AS r
WHERE r.serial::text = %(text)s OR %(digits)s <> '' AND (
    starts_with(replace(r.run_id::text, '-', ''), %(digits)s)
    OR right(replace(r.run_id::text, '-', ''), length(%(digits)s)) = %(digits)s)
ORDER BY r.serial DESC
"""
_REVISIONS = """
SELECT run_id, step, revision, action, seconds, noted_at FROM {revisions}
WHERE run_id = ANY (%s) AND action <> 'autocommit' ORDER BY id
"""
_STEPS = """
SELECT s.run_id, s.id, s.step, s.uses, s.kind, s.changes, s.recorded_at, encode(s.hash, 'hex') FROM {steps} AS s
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
class StepRecord:
    """One row of the ledger about a step.

    Attributes:
        kind: "result"; or "intent", before work outside a transaction began.
        changes: Numbers of changes by action.
        remarks: What was lost by the changes.
        seconds: None for an intent, and in rows of earlier versions.
        hash: That of the row, over its content and the hash of the row before.
    """

    id: int
    step: str
    uses: str
    kind: str
    changes: Mapping[str, int]
    remarks: tuple[str, ...]
    seconds: float | None
    recorded_at: datetime
    hash: str


@dataclass(frozen=True)
class RunHistory(RunRecord):
    """One run with who made it, what it did, and what was lost by its changes.

    Attributes:
        finished_at: None if the run did not finish, or has not yet; `outcome` is None then, too.
        error: What ended it; None if nothing did.
        role: The database role that it ran as; None where that was not recorded.
        steps: Rows of the ledger about its steps.
        restored: What a restore put back: `backup`, `taken_at`, `taken_by` and the revisions `from` and `to`.
        version: That of bootstrapper.
        inputs: The digest of the configuration and its files.
        plan: The digest of the saved plan that it applied.
    """

    error: str | None
    role: str | None
    host: str
    pid: int
    project: str | None
    file: str | None
    restored: Mapping[str, str | None] | None
    version: str
    inputs: str
    plan: str | None
    steps: tuple[StepRecord, ...] = ()
    revisions: tuple[RevisionRecord, ...] = ()

    @property
    def seconds(self) -> float | None:
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None

    @property
    def remarks(self) -> tuple[str, ...]:
        return tuple(remark for step in self.steps for remark in step.remarks)


def read_history(
    connection: Connection[Any], names: LedgerNames, most: int | None, run_id: UUID | None = None
) -> list[RunHistory]:
    """Returns the latest runs, newest first, or one. Raises one of ledger.UNREADABLE without a readable ledger."""
    runs = connection.execute(names.fill(_RUNS), {"most": most, "run_id": run_id}, binary=True).fetchall()
    ids = [row[0] for row in runs]
    found: dict[UUID, list[RevisionRecord]] = {each: [] for each in ids}
    for owner, *facts in _revisions(connection, names, ids):
        found[owner].append(RevisionRecord(*facts))
    steps: dict[UUID, list[StepRecord]] = {each: [] for each in ids}
    for owner, *row in connection.execute(names.fill(_STEPS), (ids,), binary=True):
        steps[owner].append(_step(row))
    return [replace(RunHistory(*row), steps=tuple(steps[row[0]]), revisions=tuple(found[row[0]])) for row in runs]


def find_runs(connection: Connection[Any], names: LedgerNames, text: str) -> list[UUID]:
    """Returns the runs that a text may mean, newest first: the number of one, its id, or the beginning or end of it."""
    digits = text.replace("-", "").lower()
    values = {"text": text, "digits": digits if len(digits) >= SHORTEST_END else ""}
    rows = connection.execute(names.fill(_FIND), values, binary=True).fetchall()
    numbered = [run_id for run_id, is_number in rows if is_number]
    return numbered or [run_id for run_id, _ in rows]


def _step(row: Sequence[Any]) -> StepRecord:
    number, step, uses, kind, facts, recorded_at, digest = row
    changes = {str(action): facts[action] for action in Action if action in facts}
    remarks, seconds = tuple(facts.get("remarks", ())), facts.get("seconds")
    return StepRecord(number, step, uses, kind, changes, remarks, seconds, recorded_at, digest)


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


def other_projects(connection: Connection[Any], names: LedgerNames, project: str) -> tuple[str, ...]:
    """Returns the names of other projects whose runs are recorded; none if the ledger is not readable."""
    query = names.fill("SELECT DISTINCT project FROM {runs} WHERE project <> %s ORDER BY project")
    try:
        with connection.transaction():
            return tuple(row[0] for row in connection.execute(query, (project,)))
    except UNREADABLE:
        return ()
