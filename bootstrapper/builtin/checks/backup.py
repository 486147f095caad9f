"""backup: whether a recent verified backup exists."""

from __future__ import annotations

from datetime import UTC, datetime

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.newest import newest_backup
from bootstrapper.config.unit_fields import Age
from bootstrapper.config.units import show_seconds
from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.options import StepModel


class BackupAge(StepModel):
    """The maximum age of the newest backup.

    Attributes:
        newer_than: Maximum age.
    """

    newer_than: Age


class BackupCheck(Check[BackupAge]):
    """`backup: {newer_than: 24h}`; considers complete backups in the stores of the file's backup steps."""

    key = "backup"
    borrows_session = False
    is_settled = True

    def ask(self, context: Context) -> Answer:
        run = run_of(context)
        newest = newest_backup(run, self._settings())
        if newest is None:
            return Answer.no("no verified backup of this database")
        age = newest.manifest.age_seconds(datetime.now(UTC))
        found = f"the newest verified backup, {newest.path.name}, is {show_seconds(age)} old"
        return Answer.yes(found) if age < self.argument.newer_than else Answer.no(found)

    def _settings(self) -> list[BackupSettings]:
        """Returns those of the file's backup steps; the defaults if there are none."""
        found = [unit.options for unit in self.project.steps.values() if isinstance(unit.options, BackupSettings)]
        return found or [BackupSettings()]
