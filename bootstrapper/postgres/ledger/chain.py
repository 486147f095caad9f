"""The chain of the ledger's steps: each row has the hash of the one before. Appends rows and verifies them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from bootstrapper.dataclass import dataclass
from bootstrapper.plans import Action, Change, total
from bootstrapper.postgres.ledger.ledger import LedgerNames

_APPEND = """
WITH noted AS (
    INSERT INTO {meta} (key, value) VALUES ('last_step', %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value
)
INSERT INTO {steps} (run_id, step, uses, kind, changes, marks, recorded_at, previous, hash)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_ROWS = """
SELECT s.id, r.serial, s.run_id, s.step, s.uses, s.kind, s.changes, s.marks, s.recorded_at, s.previous, s.hash
FROM {steps} AS s LEFT JOIN {runs} AS r ON r.run_id = s.run_id ORDER BY s.id
"""
_META = "SELECT key, value FROM {meta} WHERE key IN ('ledger_version', 'last_step', 'removed_steps')"

_NOTES_LAST = 6
REMOVED = "removed_steps"
"""The key in `meta` of hashes of removed rows, each with the hash that came before those in the chain, as JSON."""


@dataclass(frozen=True)
class Fault:
    """A place where the rows do not agree with their hashes.

    Attributes:
        row: The id of the row that is named; None if all are missing.
    """

    row: int | None
    message: str


@dataclass(frozen=True)
class Verdict:
    """What following the chain found.

    Attributes:
        rows: How many rows there are.
        last_row: The id of the last one; None without rows.
        last_hash: Its hash. One that was noted elsewhere tells later whether all rows until then are as they were.
    """

    rows: int
    last_row: int | None
    last_hash: str | None
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class _Row:
    """A row with its hashes, and the one that its content has.

    Attributes:
        removed: The digest that it has of what the ledger keeps of removed rows.
    """

    id: int
    name: str
    previous: str | None
    hash: str
    computed: str
    removed: str | None


def record_step(
    connection: Connection[Any],
    names: LedgerNames,
    *,
    run_id: UUID,
    step: str,
    uses: str,
    kind: str,
    changes: Sequence[Change],
    marks: Sequence[str] = (),
    remarks: Sequence[str] = (),
    seconds: float | None = None,
    removed: str | None = None,
) -> None:
    """Appends to the chain: the row's hash covers its content and the hash of the row before, and is kept as the last.

    Args:
        remarks: Masked by the caller.
        removed: The digest of what the ledger keeps of removed rows.
    """
    last = connection.execute(names.fill("SELECT hash FROM {steps} ORDER BY id DESC LIMIT 1")).fetchone()
    previous = bytes(last[0]) if last else None
    told: dict[str, object] = {}
    if remarks:
        told["remarks"] = [storable(connection, remark) for remark in remarks]
    if seconds is not None:
        told["seconds"] = round(seconds, 3)
    if removed is not None:
        told["removed"] = removed
    summary = json.dumps({**_summary(changes), **told}, sort_keys=True)
    recorded_at = datetime.now(UTC)
    content = [str(run_id), step, uses, kind, summary, list(marks), recorded_at.isoformat()]
    digest = chain_hash(previous, content)
    values = (digest.hex(), run_id, step, uses, kind, summary, list(marks), recorded_at, previous, digest)
    connection.execute(names.fill(_APPEND), values)


def last_seconds(connection: Connection[Any], names: LedgerNames) -> dict[tuple[str, str], float]:
    """Returns by name and `uses` of a step how long it took when it was last applied, as far as that was recorded."""
    query = names.fill(
        "SELECT DISTINCT ON (step, uses) step, uses, (changes ->> 'seconds')::pg_catalog.float8 FROM {steps}"
        " WHERE kind = 'result' AND changes ->> 'seconds' IS NOT NULL ORDER BY step, uses, id DESC"
    )
    return {(step, uses): seconds for step, uses, seconds in connection.execute(query)}


def chain_hash(previous: bytes | None, content: Sequence[object]) -> bytes:
    """SHA-256 over the hash before and the row's content as canonical JSON."""
    text = json.dumps(list(content), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256((previous or b"") + text.encode()).digest()


def storable(connection: Connection[Any], text: str) -> str:
    """Returns the text without characters that the database cannot store."""
    if connection.info.parameter_status("server_encoding") == "UTF8":
        return text.replace("\0", "").encode(errors="backslashreplace").decode()
    return text.replace("\0", "").encode("ascii", errors="backslashreplace").decode()


def _summary(changes: Sequence[Change]) -> dict[str, int]:
    counts = {action.value: total(changes, action) for action in Action}
    return {action: number for action, number in counts.items() if number}


def verify(connection: Connection[Any], names: LedgerNames) -> Verdict:
    """Follows the chain from its first row to its last. Raises one of ledger.UNREADABLE without a readable ledger."""
    rows = [_row(*found) for found in connection.execute(names.fill(_ROWS), binary=True)]
    meta = dict(connection.execute(names.fill(_META)).fetchall())
    links = json.loads(meta.get(REMOVED, "{}"))
    faults = [*_displaced(rows, links), *_changed(rows), *_end(rows, meta), *_removal(rows, meta.get(REMOVED))]
    last = rows[-1] if rows else None
    each = {fault.row: fault for fault in reversed(faults)}  # of a row that was inserted, its content tells no more
    found = tuple(sorted(each.values(), key=lambda fault: fault.row or 0))
    return Verdict(len(rows), last.id if last else None, last.hash if last else None, found)


def _row(id_: int, serial: int | None, *content: Any) -> _Row:
    run_id, step, uses, kind, changes, marks, recorded_at, previous, digest = content
    summary = json.dumps(changes, sort_keys=True)
    told = [str(run_id), step, uses, kind, summary, list(marks), recorded_at.astimezone(UTC).isoformat()]
    name = f"row {id_} (run number {serial}, step {step!r}, {kind})"
    before, computed = previous.hex() if previous else None, chain_hash(previous, told).hex()
    return _Row(id_, name, before, digest.hex(), computed, changes.get("removed"))


def _changed(rows: Sequence[_Row]) -> Iterator[Fault]:
    for row in rows:
        if row.computed != row.hash:
            yield Fault(row.id, f"{row.name} was changed: its content does not have its hash")


def _displaced(rows: Sequence[_Row], links: Mapping[str, str | None]) -> Iterator[Fault]:
    """Yields rows that were inserted, which a later one passes over, and places where rows are missing."""
    place = {row.hash: number for number, row in enumerate(rows)}
    broken, inserted = [], set[int]()
    for number, row in enumerate(rows):
        previous = links.get(row.previous, row.previous) if row.previous is not None else None
        before = -1 if previous is None else place.get(previous)
        if row.computed != row.hash:
            continue  # its `previous` may be what was changed
        if before is None or before >= number:
            broken.append(number)
        else:
            inserted.update(range(before + 1, number))
    for number in sorted(inserted):
        yield Fault(rows[number].id, f"{rows[number].name} was inserted: a later row follows the one before it")
    for number in broken:
        if number not in inserted:
            yield _gap(rows, number)


def _removal(rows: Sequence[_Row], kept: str | None) -> Iterator[Fault]:
    """Yields the last row about removed rows, if what the ledger keeps of those is not what it was then."""
    last = next((row for row in reversed(rows) if row.removed is not None), None)
    if last is None and kept is not None:
        yield Fault(None, "the ledger keeps hashes of removed rows, but no run removed any")
    if last is not None and (kept is None or hashlib.sha256(kept.encode()).hexdigest() != last.removed):
        yield Fault(last.id, f"{last.name}: the hashes of removed rows, as the ledger keeps them, were changed since")


def _gap(rows: Sequence[_Row], number: int) -> Fault:
    row = rows[number]
    if number == 0:
        return Fault(row.id, f"rows are missing before {row.name}")
    before = rows[number - 1].id
    return Fault(row.id, f"rows are missing between row {before} and {row.name}, or row {before} was replaced")


def _end(rows: Sequence[_Row], meta: Mapping[str, str]) -> Iterator[Fault]:
    """Yields what is wrong with the last row; a ledger before version 6 does not know which one it is."""
    noted = meta.get("last_step")
    if noted is None:
        if rows and int(meta.get("ledger_version", 0)) >= _NOTES_LAST:
            yield Fault(None, "the ledger does not say any more which row is the last one")
    elif not rows:
        yield Fault(None, "all rows are missing")
    elif rows[-1].hash == noted:
        return
    elif noted in {row.hash for row in rows}:
        last = rows[-1]
        yield Fault(last.id, f"{last.name} was inserted: an earlier row was the last one")
    else:
        yield Fault(rows[-1].id, f"rows are missing behind row {rows[-1].id}, or it was replaced")
