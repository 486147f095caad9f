"""Tells whether a later run declared a step or a fixture differently: then this configuration is the older one."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from psycopg import Connection

from bootstrapper.dataclass import dataclass
from bootstrapper.postgres.ledger.ledger import RESTORED_AS_OF, UNREADABLE, LedgerNames
from bootstrapper.postgres.ledger.past_run import PastRun

WHOLE = "file"
"""Among the declarations of a run of all steps: what is not beside it was not declared."""
UNNAMED = "unnamed "
"""Begins what a run of a file without a name seeds: fixtures with their tables, whatever its folder is called."""

# A run counts if it ended well or began to write, unless a restore took back what it wrote. That a declaration is known
# from before is shown by any run that had the lock with it: before the runs began, without another one in between that
# counts, that declared the item as the latest one does. Runs are expanded once, however many items differ.
_LATER = """
WITH restored AS MATERIALIZED (
    SELECT s.recorded_at, substr(mark, length(%(mark)s) + 1)::timestamptz AS as_of
    FROM {steps} AS s, unnest(s.marks) AS mark WHERE s.uses = 'restore' AND starts_with(mark, %(mark)s)
), ours AS NOT MATERIALIZED (
    SELECT r.*, (r.outcome = 'done' OR EXISTS (SELECT FROM {steps} AS s WHERE s.run_id = r.run_id)) IS TRUE
            AND NOT EXISTS (SELECT FROM restored AS b WHERE r.started_at > b.as_of AND r.started_at < b.recorded_at)
        AS counts
    FROM {runs} AS r WHERE r.environment IS NOT DISTINCT FROM %(environment)s AND (
        r.project = %(project)s AND (%(marks)s::text[] IS NULL OR r.declared ?| %(marks)s::text[])
        OR r.declared ?| %(unnamed)s::text[]
    )
), differing AS MATERIALIZED (
    SELECT o.item, o.digest, l.declared ->> o.item AS latest, l.serial, l.command, l.environment, l.version, l.role,
           l.host, to_char(l.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS at
    FROM jsonb_each_text(%(declared)s::text::jsonb) AS o(item, digest) CROSS JOIN LATERAL (
        SELECT r.* FROM ours AS r WHERE (r.declared ? o.item OR r.declared ? %(whole)s) AND r.counts
        ORDER BY r.serial DESC LIMIT 1
    ) AS l
    WHERE l.declared ->> o.item IS DISTINCT FROM o.digest
), told AS MATERIALIZED (
    SELECT r.serial, r.counts, d.item, d.digest
    FROM (SELECT serial, counts, declared FROM ours WHERE EXISTS (SELECT FROM differing) OFFSET 0) AS r
    CROSS JOIN LATERAL jsonb_each_text(r.declared) AS d(item, digest)
    WHERE d.item = %(whole)s OR d.item IN (SELECT item FROM differing)
), known AS MATERIALIZED (
    SELECT l.item, l.latest, min(t.serial) AS serial FROM differing AS l
    JOIN told AS t ON t.item = l.item AND t.digest = l.digest GROUP BY l.item, l.latest
), history AS MATERIALIZED (
    SELECT u.item, u.serial, max(u.digest) IS NOT DISTINCT FROM u.latest AS is_same FROM (
        SELECT k.item, k.latest, t.serial, t.digest FROM known AS k JOIN told AS t ON t.item = k.item WHERE t.counts
        UNION ALL
        SELECT k.item, k.latest, w.serial, NULL FROM known AS k JOIN told AS w ON w.item = %(whole)s AND w.counts
    ) AS u GROUP BY u.item, u.serial, u.latest
), since AS MATERIALIZED (
    SELECT h.item, min(h.serial) AS serial FROM (
        SELECT item, serial, max(serial) FILTER (WHERE NOT is_same) OVER (PARTITION BY item) AS last_other FROM history
    ) AS h WHERE h.serial > coalesce(h.last_other, 0) GROUP BY h.item
)
SELECT l.item, l.latest IS NOT NULL, l.serial, l.command, l.environment, l.version, l.role, l.host, l.at
FROM differing AS l JOIN known AS k ON k.item = l.item JOIN since AS s ON s.item = l.item AND k.serial < s.serial
ORDER BY l.serial DESC, l.item
"""
_UNDECLARED = """
SELECT EXISTS (
    SELECT FROM jsonb_each_text(%(declared)s::text::jsonb) AS o(item, digest) WHERE NOT EXISTS (
        SELECT FROM {runs} AS r
        WHERE (r.project = %(project)s OR r.declared ?| %(unnamed)s::text[]) AND r.serial < %(before)s
          AND r.environment IS NOT DISTINCT FROM %(environment)s AND r.declared ->> o.item = o.digest
    )
)
"""
_KNOWN = "SELECT DISTINCT revision FROM {revisions} WHERE revision = ANY (%s)"

# Runs follow each other; one without an end was killed, at an unknown time.
_OTHER = """
SELECT finished_at IS NULL OR finished_at > to_timestamp(%s::float8) FROM {runs} WHERE run_id <> %s
ORDER BY serial DESC LIMIT 1
"""


@dataclass(frozen=True)
class Whose:
    """Whose runs are asked for.

    Attributes:
        project: Its name, or that of its folder.
        declared: What a project without a name of its own declares; None for one with a name. Files in folders of the
            same name share a database then: a run is of the same one only if it declared one of its fixtures, or, if
            it has none, one of its steps. A run of a file in another folder, without a name either, is of the same one
            if it declared one of its fixtures for the same table.
    """

    project: str
    environment: str | None
    declared: Mapping[str, str] | None = None

    @property
    def values(self) -> dict[str, object]:
        """Parameters of statements."""
        unnamed = [item for item in self.declared or () if item.startswith(UNNAMED)]
        marks = {"marks": self._marks, "unnamed": unnamed or None}
        return {"project": self.project, "environment": self.environment, **marks}

    @property
    def _marks(self) -> list[str] | None:
        if self.declared is None:
            return None
        items = list(_items(self.declared))
        return [item for item in items if item.startswith("fixture ")] or items


@dataclass(frozen=True)
class Later:
    """A step or fixture that a run declared as this configuration does, and a later run differently.

    Attributes:
        item: Such as `fixture users`.
        is_gone: Whether the later run did not declare it at all.
        run: The later run.
    """

    item: str
    is_gone: bool
    run: PastRun


def declared_later(
    connection: Connection[Any], names: LedgerNames, declared: Mapping[str, str], whose: Whose
) -> list[Later]:
    """Returns what later runs declared differently, the latest first; empty without a readable ledger."""
    values = {**whose.values, "declared": json.dumps(_items(declared)), "whole": WHOLE, "mark": RESTORED_AS_OF}
    with suppress(*UNREADABLE), connection.transaction():
        rows = connection.execute(names.fill(_LATER), values).fetchall()
        return [Later(item, not is_there, PastRun(*run)) for item, is_there, *run in rows]
    return []


def _items(declared: Mapping[str, str]) -> dict[str, str]:
    """Returns the fixtures and steps among what a run declares."""
    return {item: digest for item, digest in declared.items() if item != WHOLE and not item.startswith(UNNAMED)}


def has_undeclared(
    connection: Connection[Any], names: LedgerNames, declared: Mapping[str, str], whose: Whose, before: int
) -> bool:
    """Returns whether no run before that one, by its serial number, declared one of these items as it is here."""
    values = {**whose.values, "declared": json.dumps(dict(declared)), "before": before}
    with suppress(*UNREADABLE), connection.transaction():
        row = connection.execute(names.fill(_UNDECLARED), values).fetchone()
        return row is not None and bool(row[0])
    return False


def has_unknown(connection: Connection[Any], names: LedgerNames, revisions: Collection[str]) -> bool:
    """Returns whether no run ever applied, reverted or stamped one of these revisions, as far as the ledger tells."""
    known: set[str] = set()
    with suppress(*UNREADABLE), connection.transaction():
        known = {row[0] for row in connection.execute(names.fill(_KNOWN), (list(revisions),))}
    return not known.issuperset(revisions)


def has_other_run(connection: Connection[Any], names: LedgerNames, run_id: UUID, since: float) -> bool:
    """Returns whether another run may have had the lock after that, in seconds since 1970 by the server's clock."""
    row = connection.execute(names.fill(_OTHER), (repr(since), run_id)).fetchone()
    return row is not None and bool(row[0])
