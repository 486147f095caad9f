"""backup: whether a recent verified backup exists."""

from __future__ import annotations

from datetime import UTC, datetime

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.location import store_of
from bootstrapper.backups.stores.signature import is_trusted
from bootstrapper.backups.stores.store import Backup
from bootstrapper.config.units import Age, show_seconds
from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.options import StepModel
from bootstrapper.plugin.run_context import RunContext


class BackupAge(StepModel):
    """The maximum age of the newest backup.

    Attributes:
        newer_than: Maximum age.
    """

    newer_than: Age


class BackupCheck(Check):
    """`backup: {newer_than: 24h}`; considers complete backups in the stores of the file's backup steps."""

    key = "backup"
    borrows_session = False
    is_settled = True
    Argument = BackupAge

    def ask(self, context: Context) -> Answer:
        run = run_of(context)
        newest = self._newest(run)
        if newest is None:
            return Answer.no("no verified backup of this database")
        age = newest.manifest.age_seconds(datetime.now(UTC))
        found = f"the newest verified backup, {newest.path.name}, is {show_seconds(age)} old"
        return Answer.yes(found) if age < self.argument.newer_than else Answer.no(found)

    def _newest(self, context: RunContext) -> Backup | None:
        server, now = context.session.server, datetime.now(UTC)
        ours = [
            backup
            for settings in self._settings()
            for backup in store_of(settings, context).backups()
            if backup.verified
            and is_trusted(backup.manifest, context.project.variables)
            and backup.manifest.is_of(server.database, server.system_identifier)
            and not (backup.manifest.left_out or backup.manifest.is_of_the_future(now))
        ]
        return max(ours, key=lambda backup: backup.manifest.created_at, default=None)

    def _settings(self) -> list[BackupSettings]:
        """Returns those of the file's backup steps; the defaults if there are none."""
        found = [unit.options for unit in self.project.steps.values() if isinstance(unit.options, BackupSettings)]
        return found or [BackupSettings()]
