"""What a restore would replace by what, as a plan shows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from bootstrapper.backups.restore import reapplied, replication, sessions
from bootstrapper.backups.restore.choose import Chosen
from bootstrapper.backups.stores.manifest import Manifest
from bootstrapper.backups.take import database
from bootstrapper.config.units import show_seconds, show_size
from bootstrapper.plans import Change, Finding, PlannedStep, State
from bootstrapper.postgres.connection.introduction import Server
from bootstrapper.postgres.ledger.ledger import LedgerNames

_ROWS = """
SELECT coalesce(sum(CASE WHEN c.reltuples < 0 THEN pg_catalog.pg_stat_get_live_tuples(c.oid) ELSE c.reltuples END), 0)
       ::bigint
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


def describe(
    connection: Connection[Any], server: Server, names: LedgerNames, chosen: Chosen, *, in_place: bool
) -> PlannedStep:
    """One change: the database as it is, and as the backup has it. Reads only."""
    name = server.database
    kept = "it is emptied and filled anew, after a fresh backup" if in_place else f"it is kept as {name}_before_RUN"
    now = database.revision(connection)
    before = {
        "size": show_size(database.size(connection)),
        "revision": reapplied.shown(now),
        "rows": f"about {_count(connection):,}",
    }
    change = Change.update(f"database {name}", reason=kept, before=before, after=_after(chosen))
    found = (
        *_findings(connection, server, chosen),
        *replication.findings(connection, name, in_place=in_place),
        *reapplied.findings(connection, names, chosen.manifest, now),
    )
    return PlannedStep("restore", "restore", State.PENDING, changes=(change,), findings=found)


def _after(chosen: Chosen) -> Mapping[str, str | None]:
    manifest = chosen.manifest
    if manifest is None:
        return {"backup": chosen.where, "taken": "unknown: it has no manifest"}
    rows = [number for number in manifest.rows.values() if number is not None]
    return {
        "size": show_size(manifest.database_size),
        "revision": reapplied.shown(manifest.revision),
        **({"rows": f"about {sum(rows):,}"} if rows else {}),
        "backup": f"{chosen.where} ({show_size(manifest.size)})",
        "taken": f"{manifest.created_at:%Y-%m-%d %H:%M:%S %Z}, {_age(manifest)} ago",
        "run": str(manifest.run_id) if manifest.run_id else None,
        "server": f"PostgreSQL {manifest.server_version}",
    }


def origin(chosen: Chosen, change: Change) -> dict[str, str | None]:
    """Of the change that `describe` made, what the ledger notes."""
    manifest = chosen.manifest
    before, after = change.before or {}, change.after or {}
    return {
        "backup": chosen.where,
        "taken_at": manifest.created_at.isoformat() if manifest is not None else None,
        "taken_by": str(manifest.run_id) if manifest is not None and manifest.run_id is not None else None,
        "from": before.get("revision"),
        "to": after.get("revision"),
    }


def _findings(connection: Connection[Any], server: Server, chosen: Chosen) -> list[Finding]:
    found = []
    others = sessions.others(connection, server.database, [connection.info.backend_pid])
    if others:
        told = "; ".join(map(str, others))
        remedy = "Stop the application, or pass --terminate to end their sessions."
        found.append(Finding(f"database {server.database}", f"others are connected: {told}", remedy))
    manifest = chosen.manifest
    if manifest is None:
        found.append(Finding(f"backup {chosen.where}", "has no manifest: nothing vouches for what is in it"))
    elif not manifest.is_of(server.database, server.system_identifier):
        told = f"is one of database {manifest.database} on {manifest.server}"
        found.append(Finding(f"backup {chosen.where}", told))
    if manifest is not None and manifest.left_out:
        told = f"holds a part only: it was taken with {', '.join(manifest.left_out)}"
        found.append(Finding(f"backup {chosen.where}", told, "What it leaves out is gone after a restore."))
    return found


def _count(connection: Connection[Any]) -> int:
    """As far as statistics tell, which costs nothing."""
    row = connection.execute(_ROWS).fetchone()
    return int(row[0]) if row is not None else 0


def _age(manifest: Manifest) -> str:
    return show_seconds(manifest.age_seconds(datetime.now(UTC)))
