"""Revisions that were interrupted in an autocommit block, as the ledger records them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from bootstrapper.dataclass import dataclass
from bootstrapper.migrations.history.revisions import Revision
from bootstrapper.migrations.state import State
from bootstrapper.plans import Finding
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.settings import transaction
from bootstrapper.postgres.ledger import ledger

# The row of a block is followed by that of the upgrade once the revision is complete.
_INTERRUPTED = """
SELECT r.revision, r.run_id, r.noted_at, r.indexes, r.file_sha256 FROM {revisions} AS r
WHERE r.revision = ANY (%s) AND r.step = %s AND r.action = 'autocommit'
  AND NOT EXISTS (SELECT 1 FROM {revisions} AS later
                  WHERE later.step = r.step AND later.id > r.id
                    AND (later.action = 'stamp' OR later.action <> 'autocommit' AND later.revision = r.revision))
ORDER BY r.id
"""


@dataclass(frozen=True)
class Interrupted:
    """A revision whose autocommit block began and that was never finished.

    Attributes:
        indexes: Names of all indexes that existed when its first block began.
        is_of_this_file: Whether its file is still the one that was interrupted; the effects of another are unknown.
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
            f"was interrupted in an autocommit block of run {self.run_id} at {self.since:%Y-%m-%d %H:%M:%S %Z}: its"
            " earlier statements are committed, and it starts again from the top",
            "Make its statements repeatable, or undo them.",
        )

    def builds(self, index: str, table: str) -> bool:
        """Whether the revision's file creates an index of this name, and contains the table's name."""
        text = self.revision.file.read_text(encoding="utf-8", errors="replace") if self.revision.file else ""
        name = re.escape(index)
        creates = rf"""create_index\(\s*(?:op\.f\()?\s*["']{name}["']|INDEX\s+(?:\w+\s+)*["'\\]*{name}(?!\w)"""
        is_created = re.search(creates, re.sub(r"(?i)\b(?:RE|DROP\s+)INDEX\b", "", text), re.IGNORECASE)
        return is_created is not None and re.search(rf"(?<!\w){re.escape(table)}(?!\w)", text) is not None


@dataclass(frozen=True)
class _Block:
    """A row of the ledger about the start of one autocommit block; early ledgers have no digest of its file."""

    run_id: UUID
    noted_at: datetime
    indexes: Sequence[str] | None
    file_sha256: str | None


def interrupted(context: RunContext, state: State | None) -> list[Interrupted]:
    """Returns those of the pending revisions; none without a state, or if the ledger cannot be read."""
    pending = {revision.id: revision for revision in state.pending} if state is not None else {}
    if not pending:
        return []
    names = context.project.ledger
    try:
        with transaction(context.connection):
            rows = context.connection.execute(
                names.fill(_INTERRUPTED), (list(pending), context.step), binary=True
            ).fetchall()
    except ledger.UNREADABLE:
        return []
    blocks: dict[str, list[_Block]] = {}
    for revision, *facts in rows:
        blocks.setdefault(revision, []).append(_Block(*facts))
    return [_interrupted_at(pending[revision], found) for revision, found in blocks.items()]


def _interrupted_at(revision: Revision, blocks: Sequence[_Block]) -> Interrupted:
    """Takes the first of its blocks that was of the current file, otherwise the first; the indexes are of the first."""
    digest = hashlib.sha256(revision.file.read_bytes()).hexdigest() if revision.file else None
    ours = next((block for block in blocks if block.file_sha256 in (None, digest)), None)
    block = ours or blocks[0]
    return Interrupted(revision, block.run_id, block.noted_at, tuple(blocks[0].indexes or ()), ours is not None)
