"""What logical replication has in a database, and no restore takes along."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from bootstrapper.plans import Finding

# The columns that everybody may read.
_SUBSCRIPTIONS = """
SELECT s.subname, pg_catalog.quote_ident(s.subname) FROM pg_catalog.pg_subscription AS s
JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
WHERE d.datname = %s AND s.subenabled ORDER BY s.subname
"""
_SLOTS = "SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE database = %s ORDER BY slot_name"
_FEEDS = ("stays with the database that is put aside, and is dropped with it", "Set those up anew whom it feeds.")


def findings(connection: Connection[Any], database: str, *, in_place: bool) -> list[Finding]:
    """Subscriptions that are enabled, and slots that feed others, with what becomes of each."""
    found = [
        Finding(f"subscription {name}", *(_in_place(quoted) if in_place else _aside(quoted)))
        for name, quoted in connection.execute(_SUBSCRIPTIONS, (database,)).fetchall()
    ]
    if in_place:
        return found
    slots = connection.execute(_SLOTS, (database,)).fetchall()
    return [*found, *(Finding(f"replication slot {name}", *_FEEDS) for (name,) in slots)]


def _aside(name: str) -> tuple[str, str]:
    told = "goes on in the database that is put aside, and takes what the publisher sends; the restored one is disabled"
    return told, f"Stop it before: ALTER SUBSCRIPTION {name} DISABLE"


def _in_place(name: str) -> tuple[str, str]:
    told = "stays, and does not know the tables that the restore makes anew"
    return told, f"Run afterwards: ALTER SUBSCRIPTION {name} REFRESH PUBLICATION"
