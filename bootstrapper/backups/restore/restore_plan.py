"""Plans a restore: what it replaces by what, and what its reader should know before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from bootstrapper.backups.restore import replayed, sessions
from bootstrapper.backups.restore.choose import Chosen
from bootstrapper.backups.stores.manifest import Manifest
from bootstrapper.backups.take import database
from bootstrapper.config.units import show_seconds, show_size
from bootstrapper.plans import Change, Finding, PlannedStep, State
from bootstrapper.postgres.connection.introduction import Server
from bootstrapper.postgres.ledger.ledger import UNREADABLE, LedgerNames

_ROWS = """
SELECT coalesce(sum(CASE WHEN c.reltuples < 0 THEN pg_catalog.pg_stat_get_live_tuples(c.oid) ELSE c.reltuples END), 0)
       ::bigint
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


def describe(
    connection: Connection[Any],
    server: Server,
    names: LedgerNames,
    chosen: Chosen,
    *,
    in_place: bool,
    later: Sequence[str] | None = (),
    freezes: bool = False,
) -> PlannedStep:
    """Returns the plan: one change from the database as it is to the one in the backup. Reads only.

    Args:
        later: The revisions of the files that the backup does not have; None if they are unknown.
        freezes: Whether the restored database is left frozen.
    """
    name = server.database
    kept = "emptied and restored in place, after a new backup" if in_place else f"kept as {name}_before_RUN"
    now = database.revision(connection)
    before = {
        "size": show_size(database.size(connection)),
        "revision": show_revision(now),
        "rows": f"about {_count(connection):,}",
    }
    change = Change.update(f"database {name}", reason=kept, before=before, after=_after(chosen))
    found = (
        *_findings(connection, server, chosen),
        *_replication(connection, name, in_place=in_place),
        *([_frozen(chosen, later)] if freezes else _reapplied(connection, names, chosen.manifest, now)),
    )
    return PlannedStep("restore", "restore", State.PENDING, changes=(change,), findings=found)


def _after(chosen: Chosen) -> Mapping[str, str | None]:
    manifest = chosen.manifest
    if manifest is None:
        return {"backup": chosen.where, "taken": "unknown (no manifest)"}
    rows = [number for number in manifest.rows.values() if number is not None]
    return {
        "size": show_size(manifest.database_size),
        "revision": show_revision(manifest.revision),
        **({"rows": f"about {sum(rows):,}"} if rows else {}),
        "backup": f"{chosen.where} ({show_size(manifest.size)})",
        "taken": f"{manifest.created_at:%Y-%m-%d %H:%M:%S %Z}, {_age(manifest)} ago",
        "run": str(manifest.run_id) if manifest.run_id else None,
        "server": f"PostgreSQL {manifest.server_version}",
    }


def origin(chosen: Chosen, change: Change) -> dict[str, str | None]:
    """Returns what the ledger records about the change that `describe` made."""
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
        found.append(Finding(f"database {server.database}", f"other sessions are connected: {told}", remedy))
    manifest = chosen.manifest
    if manifest is None:
        found.append(Finding(f"backup {chosen.where}", "has no manifest; its content cannot be verified"))
    elif not manifest.is_of(server.database, server.system_identifier):
        told = f"is a backup of database {manifest.database} on {manifest.server}"
        found.append(Finding(f"backup {chosen.where}", told))
    if manifest is not None and manifest.left_out:
        told = f"is partial: it was taken with {', '.join(manifest.left_out)}"
        found.append(Finding(f"backup {chosen.where}", told, "What it leaves out is lost by the restore."))
    return found


def _count(connection: Connection[Any]) -> int:
    """Returns the number of rows according to the statistics."""
    row = connection.execute(_ROWS).fetchone()
    return int(row[0]) if row is not None else 0


def _age(manifest: Manifest) -> str:
    return show_seconds(manifest.age_seconds(datetime.now(UTC)))


LATER_REVISIONS = "later revisions"

_MOST_NAMES = 5
_APPLIED_SINCE = "SELECT revision FROM {revisions} WHERE action = 'upgrade' AND noted_at > %s ORDER BY id"
_REMEDY = "Stop deployments and replicas first, or deploy code whose newest revision is that of the backup."


def _frozen(chosen: Chosen, later: Sequence[str] | None) -> Finding:
    revision = show_revision(chosen.manifest.revision if chosen.manifest is not None else None)
    return Finding(
        LATER_REVISIONS,
        f"the backup is at revision {revision}, and {replayed.told(later)}: the restored database is left frozen",
        "Deploy code whose newest revision is that of the backup, or correct the files; then `bootstrapper unfreeze`.",
    )


def _reapplied(
    connection: Connection[Any], names: LedgerNames, manifest: Manifest | None, now: Sequence[str] | None
) -> Iterator[Finding]:
    """Warns if the revisions of backup and database differ, or one of them is unknown.

    A run that waits for the lock during the restore is refused afterwards. One that starts later, such as that of a new
    replica, does not know about the restore and applies the later revisions again.

    Args:
        now: The revisions of the database; None if they are not readable.
    """
    then = manifest.revision if manifest is not None else None
    if then is not None and now is not None and tuple(then) == tuple(now):
        return
    applied = _applied_since(connection, names, manifest)
    more = [f"and {len(applied) - _MOST_NAMES} more"] if len(applied) > _MOST_NAMES else []
    between = f" ({', '.join([*applied[:_MOST_NAMES], *more])})" if applied else ""
    yield Finding(
        LATER_REVISIONS,
        f"the backup is at revision {show_revision(then)}, the replaced database at {show_revision(now)}: the next "
        f"`apply` or replica that starts applies the revisions between{between} again",
        _REMEDY,
    )


def _applied_since(connection: Connection[Any], names: LedgerNames, manifest: Manifest | None) -> list[str]:
    """Returns the revisions applied since, as far as the ledger is readable and records them."""
    if manifest is None:
        return []
    try:
        with connection.transaction():
            rows = connection.execute(names.fill(_APPLIED_SINCE), (manifest.created_at,)).fetchall()
    except UNREADABLE:
        return []
    return list(dict.fromkeys(revision for (revision,) in rows))


def show_revision(revision: Sequence[str] | None) -> str:
    if revision is None:
        return "unknown"
    return ", ".join(revision) or "none"


# The columns that every role may read.
_SUBSCRIPTIONS = """
SELECT s.subname, pg_catalog.quote_ident(s.subname) FROM pg_catalog.pg_subscription AS s
JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
WHERE d.datname = %s AND s.subenabled ORDER BY s.subname
"""
_SLOTS = "SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE database = %s ORDER BY slot_name"
_FEEDS = ("stays with the kept database and is dropped with it", "Recreate its subscribers.")


def _replication(connection: Connection[Any], database: str, *, in_place: bool) -> list[Finding]:
    """Returns enabled subscriptions and replication slots, with what happens to each."""
    found = [
        Finding(f"subscription {name}", *(_in_place(quoted) if in_place else _in_kept_database(quoted)))
        for name, quoted in connection.execute(_SUBSCRIPTIONS, (database,)).fetchall()
    ]
    if in_place:
        return found
    slots = connection.execute(_SLOTS, (database,)).fetchall()
    return [*found, *(Finding(f"replication slot {name}", *_FEEDS) for (name,) in slots)]


def _in_kept_database(name: str) -> tuple[str, str]:
    told = "stays enabled in the kept database and consumes changes; the restored one is disabled"
    return told, f"Disable it before: ALTER SUBSCRIPTION {name} DISABLE"


def _in_place(name: str) -> tuple[str, str]:
    told = "stays, but does not know the recreated tables"
    return told, f"Refresh it afterwards: ALTER SUBSCRIPTION {name} REFRESH PUBLICATION"
