"""What is left in the database of revisions that were cut off, and mending it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from bootstrapper.deadline import Deadline
from bootstrapper.migrations.history.revisions import Revision
from bootstrapper.migrations.interrupted import leftovers
from bootstrapper.migrations.interrupted.leftovers import Leftover, find_leftovers
from bootstrapper.migrations.state import State
from bootstrapper.plans import SQL, Change, Finding
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.cutoff import cut_off
from bootstrapper.postgres.connection.settings import greet, transaction
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock.hold import Hold

# A block's row is followed by that of the upgrade, once the revision is whole.
_CUT_OFF = """
SELECT r.revision, r.run_id, r.noted_at, r.indexes, r.file_sha256 FROM {revisions} AS r
WHERE r.revision = ANY (%s) AND r.step = %s AND r.action = 'autocommit'
  AND NOT EXISTS (SELECT 1 FROM {revisions} AS later
                  WHERE later.step = r.step AND later.id > r.id
                    AND (later.action = 'stamp' OR later.action <> 'autocommit' AND later.revision = r.revision))
ORDER BY r.id
"""
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


@dataclass(frozen=True)
class CutOff:
    """A revision whose autocommit block began and that was never finished.

    Attributes:
        indexes: Names of all that were there when a block of it first began.
        is_of_this_file: Whether its file is still the one that was cut off; what another one does is not known.
    """

    revision: Revision
    run_id: UUID
    since: datetime
    indexes: tuple[str, ...]
    is_of_this_file: bool

    @property
    def finding(self) -> Finding:
        return Finding(
            f"revision {self.revision.id}",
            f"was cut off in an autocommit block by run {self.run_id} at {self.since:%Y-%m-%d %H:%M:%S %Z}: what it did"
            " until then is committed, and it begins again from its top",
            "Let its statements be able to run twice, or take back what they did.",
        )

    def builds(self, index: str, table: str) -> bool:
        """Whether the revision's file creates an index of this name, and has the table's name in it."""
        text = self.revision.file.read_text(encoding="utf-8", errors="replace") if self.revision.file else ""
        name = re.escape(index)
        creates = rf"""create_index\(\s*(?:op\.f\()?\s*["']{name}["']|INDEX\s+(?:\w+\s+)*["'\\]*{name}(?!\w)"""
        is_created = re.search(creates, re.sub(r"(?i)\b(?:RE|DROP\s+)INDEX\b", "", text), re.IGNORECASE)
        return is_created is not None and re.search(rf"(?<!\w){re.escape(table)}(?!\w)", text) is not None


@dataclass(frozen=True)
class _Block:
    """A row of the ledger about one autocommit block that began; early ledgers have no digest of its file."""

    run_id: UUID
    noted_at: datetime
    indexes: Sequence[str] | None
    file_sha256: str | None


def findings(context: RunContext, state: State | None) -> list[Finding]:
    """What to tell, each with the statement that mends it; without a state, where nothing is pending."""
    with transaction(context.connection):
        cut = _cut_off(context, state) if state is not None else []
        left = _to_mend(context, cut)
    return [*(each.finding for each in cut if each.is_of_this_file), *(each.finding for each in left)]


def repairs(context: RunContext, state: State | None) -> list[Change]:
    """The same as changes; what no statement mends is left out."""
    with transaction(context.connection):
        cut = _cut_off(context, state) if state is not None else []
        return [_change(each) for each in _to_mend(context, cut) if each.repair]


def _change(leftover: Leftover) -> Change:
    change = Change.run(f"repair {leftover.kind} {leftover.name}", reason=leftover.reason, payload=leftover)
    return replace(change, after={SQL: f"{leftover.repair};"})


def repair(context: RunContext, hold: Hold, found: Sequence[Leftover], deadline: Deadline) -> None:
    """Runs the statements on a connection of their own: the run's has to keep the lock's lease up meanwhile.

    Raises MigrationError where the server refuses one.
    """
    if not found:
        return
    target, name = context.session.target, context.application_name
    timeout = None if context.session.server.pooled else 0  # they wait in nobody's way, and are cut off in time
    with (
        closing(connect(target, deadline=deadline, application_name=name)) as connection,
        cut_off(connection, deadline),
    ):
        greet(connection)
        hold.announce(connection)
        for each in found:
            hold.require()
            context.report(each.repair)
            leftovers.repair(connection, [each], context.masker, lock_timeout_seconds=timeout)
    hold.require()


def _to_mend(context: RunContext, cut: list[CutOff]) -> list[Leftover]:
    """An index that a revision will build once more has to go; others are built anew."""
    found = find_leftovers(context.connection, context.project.ledger)
    mended = [replace(each, repair=each.drop) if each.drop and _is_made_by(cut, each) else each for each in found]
    return [*_built_since(context.connection, context.project.ledger, cut), *mended]


def _is_made_by(cut: list[CutOff], leftover: Leftover) -> bool:
    (*_, index), (*_, table) = _parts(leftover.name), _parts(leftover.table)
    return leftover.kind == "index" and any(
        leftover.name not in each.indexes and each.builds(index, table) for each in cut
    )


def _parts(name: str) -> list[str]:
    """The names in a qualified one, as they are without quotes."""
    return [
        part[1:-1].replace('""', '"') if part.startswith('"') else part
        for part in re.findall(r'"(?:[^"]|"")+"|[^."]+', name) or [""]
    ]


def _built_since(connection: Connection[Any], names: LedgerNames, cut: list[CutOff]) -> Iterator[Leftover]:
    for each in cut:
        rows = connection.execute(names.fill(_BUILT_SINCE), (list(each.indexes),)).fetchall()
        for name, table, index in rows:
            if each.builds(index, table):
                reason = f"was built by revision {each.revision.id} before it was cut off, and will be built again"
                yield Leftover("index", name, table, reason, f"DROP INDEX CONCURRENTLY {name}")


def _cut_off(context: RunContext, state: State) -> list[CutOff]:
    """Of the pending revisions; none where the ledger can not be read."""
    pending = {revision.id: revision for revision in state.pending}
    if not pending:
        return []
    names = context.project.ledger
    try:
        with transaction(context.connection):
            rows = context.connection.execute(
                names.fill(_CUT_OFF), (list(pending), context.step), binary=True
            ).fetchall()
    except ledger.UNREADABLE:
        return []
    blocks: dict[str, list[_Block]] = {}
    for revision, *facts in rows:
        blocks.setdefault(revision, []).append(_Block(*facts))
    return [_cut_off_at(pending[revision], found) for revision, found in blocks.items()]


def _cut_off_at(revision: Revision, blocks: Sequence[_Block]) -> CutOff:
    """The first of its blocks that was of the file as it is now, else the first; the indexes were there before any."""
    digest = hashlib.sha256(revision.file.read_bytes()).hexdigest() if revision.file else None
    ours = next((block for block in blocks if block.file_sha256 in (None, digest)), None)
    block = ours or blocks[0]
    return CutOff(revision, block.run_id, block.noted_at, tuple(blocks[0].indexes or ()), ours is not None)
