"""What a backup is going to take, as far as can be told beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from bootstrapper.backups.stores.catalogue import Backup
from bootstrapper.backups.take import database
from bootstrapper.config.units import show_seconds, show_size


def expectation(connection: Connection[Any], earlier: Sequence[Backup]) -> str:
    """The database's size, and by what the newest earlier backup took, size and time of the next.

    Args:
        earlier: Of the same database by the same step, newest first.
    """
    total = database.size(connection)
    said = f"the database has {show_size(total)}"
    last = next((backup.manifest for backup in earlier if backup.manifest.seconds), None)
    if last is None or not last.seconds or not last.database_size:
        return said
    growth = total / last.database_size
    return (
        f"{said}; going by the last one, {last.file}, about {show_size(round(last.size * growth))} "
        f"in {show_seconds(last.seconds * growth)}"
    )
