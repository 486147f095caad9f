"""backup: a verified dump of the database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bootstrapper.backups import catalogue, database
from bootstrapper.backups.catalogue import Backup as TakenBackup
from bootstrapper.backups.draft import sweep
from bootstrapper.backups.dump import take
from bootstrapper.backups.retention import dated_path, retire
from bootstrapper.backups.settings import BackupSettings
from bootstrapper.errors import BackupError
from bootstrapper.step import Change, Context, Deferred, Step
from bootstrapper.units import show_size


class Backup(Step):
    """Takes one backup a run, unless an unfinished run of the same configuration took it at the same revision."""

    uses = "backup"
    transactional = False

    class With(BackupSettings):
        """The `with:` block of a backup step; BackupSettings tells what each key means."""

    options: With

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        if not self.has_check and self._taken(context) is not None:
            return []
        size = show_size(database.size(context.connection))
        reason = f"no verified backup by this run yet; the database has {size}"
        return [Change.run(self._target(context), reason=reason)]

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        folder = self.options.folder(context.project)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sweep(folder)
        except OSError as error:
            raise BackupError(f"{folder} can not be used: {error.strerror or error}") from error
        taken = take(context, self._path(context, folder))
        context.report(f"{taken.path}: {show_size(taken.manifest.size)}, read back whole")
        if self.options.keep is not None and self.options.file is None:
            self._retire(context, folder, self.options.keep)

    def _taken(self, context: Context) -> TakenBackup | None:
        """A verified backup that this run need not repeat."""
        if self.options.file is not None:
            fixed = catalogue.find(context.project.path(self.options.file))
            return fixed if fixed and fixed.verified and self._by_this_run(fixed, context) else None
        found = [backup for backup in self._verified(context) if self._by_this_run(backup, context)]
        return found[0] if found else self._taken_by_unfinished_run(context)

    def _taken_by_unfinished_run(self, context: Context) -> TakenBackup | None:
        candidates = self._verified(context)
        if not candidates:
            return None
        runs = database.unfinished_runs(context.connection, context.project.ledger, context.project.inputs) or ()
        revision = database.revision(context.connection)
        for backup in candidates:
            if backup.manifest.run_id in runs and revision is not None and backup.manifest.revision == revision:
                return backup
        return None

    def _verified(self, context: Context) -> list[TakenBackup]:
        server = context.session.server
        return [
            backup
            for backup in catalogue.backups(self.options.folder(context.project))
            if backup.verified
            and backup.manifest.step == self.name
            and backup.manifest.is_of(server.database, server.system_identifier)
        ]

    def _by_this_run(self, backup: TakenBackup, context: Context) -> bool:
        return context.run_id is not None and backup.manifest.run_id == context.run_id

    def _target(self, context: Context) -> str:
        """Without time and run, so that a plan says the same when it is made again."""
        name = context.session.server.database
        return f"backup of {name} to {self.options.file or self.options.directory.rstrip('/') + '/'}"

    def _path(self, context: Context, folder: Path) -> Path:
        if self.options.file is not None:
            return context.project.path(self.options.file)
        return dated_path(folder, context.session.server.database, context.run_id)

    def _retire(self, context: Context, folder: Path, keep: int) -> None:
        server = context.session.server
        unfinished = database.unfinished_runs(context.connection, context.project.ledger)
        retired = retire(
            folder,
            keep,
            database=server.database,
            system_identifier=server.system_identifier,
            unfinished=unfinished,
        )
        for path in retired:
            context.report(f"{path}: removed, {keep} newer ones are kept")
