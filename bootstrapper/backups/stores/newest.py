"""Finds the newest backup of the database that can be relied upon."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.location import store_of
from bootstrapper.backups.stores.signature import is_trusted
from bootstrapper.backups.stores.store import Backup
from bootstrapper.plugin.run_context import RunContext


def newest_backup(context: RunContext, found_in: Iterable[BackupSettings]) -> Backup | None:
    """Returns the newest verified, trusted and complete backup of the context's database in these stores.

    Raises BackupError if a store cannot be read.
    """
    server, now = context.session.server, datetime.now(UTC)
    ours = [
        backup
        for settings in found_in
        for backup in store_of(settings, context).backups()
        if backup.verified
        and is_trusted(backup.manifest, context.project.variables)
        and backup.manifest.is_of(server.database, server.system_identifier)
        and not (backup.manifest.left_out or backup.manifest.is_of_the_future(now))
    ]
    return max(ours, key=lambda backup: backup.manifest.created_at, default=None)
