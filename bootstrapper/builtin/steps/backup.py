"""backup: takes a verified dump of the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from bootstrapper.backups.settings import ENCRYPTED_SUFFIX, BackupSettings
from bootstrapper.backups.stores.folder import find
from bootstrapper.backups.stores.location import folder_in_container, require_replaceable, store_of
from bootstrapper.backups.stores.remote import without_secrets
from bootstrapper.backups.stores.retention import Keeping, retire
from bootstrapper.backups.stores.signature import is_trusted
from bootstrapper.backups.stores.store import Backup as TakenBackup
from bootstrapper.backups.stores.store import Store
from bootstrapper.backups.take import database
from bootstrapper.backups.take.dump import PlannedBackup, plan_backup, take
from bootstrapper.config.units import show_seconds, show_size
from bootstrapper.errors import BackupError, ClientToolsError, GuardError, UsageError
from bootstrapper.events import Warned
from bootstrapper.plans import Action, Bounds, Change, Deferred, Finding
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Bounded, Explained

_STATUS = "status"  # takes no backup, so it needs no program and no key
_CONTAINER_HINT = "Mount a volume there, or set `directory` to an absolute path or a URL."


class Backup(Step[BackupSettings], Bounded, Explained):
    """Takes one backup a run, unless an unfinished run of the same configuration took one at the same revision."""

    uses = "backup"
    transactional = False
    always_on_command = True
    borrows_session = False
    leaves_others_alone = True

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """Returns the backup to take, with everything it needs, so that problems show before anything is changed.

        Raises UsageError if `file` exists and is not a backup, GuardError behind a pooler, ClientToolsError without a
        pg_dump for this server, and BackupError for settings that are not possible here.
        """
        run = run_of(context)
        options = self.options
        if options.file is not None and run.project.command != _STATUS:
            require_replaceable(run.project.path(options.file), run.project, overwrite=options.overwrite)
        with self._placed():
            store = store_of(options, run)
            known = store.backups()
            if not run.declaration.has_check and self._taken(run, known) is not None:
                return []
            planned = self._plan(run, store) if run.project.command != _STATUS else None
        expected = database.expectation(run.connection, self._ours(run, known))
        return [Change.run(self._target(run), reason=f"{self._why(run, known)}; {expected}", payload=planned)]

    def _why(self, context: RunContext, known: Sequence[TakenBackup]) -> str:
        if context.project.command == self.uses:
            return "requested"
        earlier = self._of_unfinished_run(context, known) if self.options.file is None else None
        if earlier is None:
            return "no verified backup by this run yet"
        limit = show_seconds(self.options.reuse_for) if self.options.reuse_for else "0"
        return f"the backup of unfinished run {earlier.manifest.run_id} is {_age(earlier)} old, reuse_for is {limit}"

    def done_reason(self, context: Context) -> str:
        run = run_of(context)
        taken = self._taken(run, store_of(self.options, run).backups())
        if taken is None or taken.manifest.run_id == run.run_id:
            return "as declared"
        by = f"unfinished run {taken.manifest.run_id}"
        return f"{taken.where} was taken {_age(taken)} ago by {by} at the same revision"

    def findings(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Finding]:
        run = run_of(context)
        folder = folder_in_container(self.options, run) if changes else None
        if folder is None or store_of(self.options, run).backups():  # said until the first backup is there
            return ()
        return [Finding(f"folder {folder}", "is lost with this container", _CONTAINER_HINT)]

    def bounds(self, context: Context, changes: Sequence[Change | Deferred]) -> Bounds | None:
        return None if changes else Bounds(frozenset({Action.RUN}), 1)

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        run = run_of(context)
        if (folder := folder_in_container(self.options, run)) is not None:
            run.emit(Warned(f"{folder} is inside this container: the backup is lost with it", _CONTAINER_HINT))
        [change] = changes
        assert isinstance(change, Change)
        planned = change.payload
        assert isinstance(planned, PlannedBackup)
        planned.store.prepare()
        taken = take(run, planned)
        size, seconds = show_size(taken.manifest.size), show_seconds(taken.manifest.seconds or 0)
        run.report(f"{taken.where}: {size}, verified, in {seconds}")
        if self.options.file is None:
            self._retire(run, planned.store, taken)

    def _plan(self, context: RunContext, store: Store) -> PlannedBackup:
        planned, file = plan_backup(context, self.options, store), self.options.file
        if planned.encrypter is None and file is not None and file.endswith(ENCRYPTED_SUFFIX):
            reason = f"a file whose name ends in {ENCRYPTED_SUFFIX} must be encrypted, and `encrypt` is not set"
            raise UsageError(reason, hint="Set `encrypt`, or choose another name.", source=self.source)
        return planned

    def _taken(self, context: RunContext, known: Sequence[TakenBackup]) -> TakenBackup | None:
        """Returns a verified backup that serves for this run; the command `backup` always takes its own."""
        if self.options.file is not None:
            fixed = find(context.project.path(self.options.file))
            is_good = fixed is not None and fixed.verified and is_trusted(fixed.manifest, context.project.variables)
            return fixed if fixed is not None and is_good and self._by_this_run(fixed, context) else None
        candidates = self._ours(context, known)
        found = [backup for backup in candidates if self._by_this_run(backup, context)]
        if found:
            return found[0]
        if context.project.command == self.uses:
            return None
        earlier = self._of_unfinished_run(context, known)
        is_young = earlier is not None and earlier.manifest.age_seconds(datetime.now(UTC)) < self.options.reuse_for
        return earlier if is_young else None

    def _of_unfinished_run(self, context: RunContext, known: Sequence[TakenBackup]) -> TakenBackup | None:
        """Returns the newest one by an unfinished run of the same configuration at the current revision."""
        now = datetime.now(UTC)
        candidates = [each for each in self._ours(context, known) if not each.manifest.is_of_the_future(now)]
        if not candidates:
            return None
        runs = database.unfinished_runs(context.connection, context.project.ledger, context.project.inputs) or ()
        revision = database.revision(context.connection)
        for backup in candidates:
            if backup.manifest.run_id in runs and revision is not None and backup.manifest.revision == revision:
                return backup
        return None

    def _ours(self, context: RunContext, known: Sequence[TakenBackup]) -> list[TakenBackup]:
        """Returns the verified ones that this step took of this database, newest first."""
        server = context.session.server
        return [
            backup
            for backup in known
            if backup.verified
            and is_trusted(backup.manifest, context.project.variables)
            and backup.manifest.step == self.name
            and backup.manifest.is_of(server.database, server.system_identifier)
        ]

    def _by_this_run(self, backup: TakenBackup, context: RunContext) -> bool:
        return context.run_id is not None and backup.manifest.run_id == context.run_id

    def _target(self, context: RunContext) -> str:
        """Returns a name without time and run, so that a plan made again is the same."""
        name, options = context.session.server.database, self.options
        directory = without_secrets(options.directory) if options.is_remote else options.directory
        return f"backup of {name} to {options.file or directory.rstrip('/') + '/'}"

    def _retire(self, context: RunContext, store: Store, taken: TakenBackup) -> None:
        server = context.session.server
        retired = retire(
            store,
            Keeping(self.options.keep, self.options.keep_for),
            database=server.database,
            system_identifier=server.system_identifier,
            unfinished=database.unfinished_runs(context.connection, context.project.ledger),
            variables=context.project.variables,
            left_out=taken.manifest.left_out,
        )
        for backup in retired:
            context.report(f"{backup.where}: removed (expired)")

    @contextmanager
    def _placed(self) -> Iterator[None]:
        """Adds the place in the file to errors about the settings."""
        try:
            yield
        except (BackupError, ClientToolsError, GuardError) as error:
            error.at(self.source)
            raise


def _age(backup: TakenBackup) -> str:
    return show_seconds(backup.manifest.age_seconds(datetime.now(UTC)))
