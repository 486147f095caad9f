"""backup: takes a verified dump of the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from bootstrapper.backups.settings import ENCRYPTED_SUFFIX, BackupSettings
from bootstrapper.backups.stores import catalogue
from bootstrapper.backups.stores.catalogue import Backup as TakenBackup
from bootstrapper.backups.stores.location import goes_with_container, require_free, store_of
from bootstrapper.backups.stores.remote import without_secrets
from bootstrapper.backups.stores.retention import Keeping, dated_name, retire
from bootstrapper.backups.stores.signature import is_trusted
from bootstrapper.backups.stores.store import Store
from bootstrapper.backups.take import database
from bootstrapper.backups.take.dump import take, take_into
from bootstrapper.backups.take.encryption import Encrypter
from bootstrapper.backups.take.estimate import expectation
from bootstrapper.backups.take.pg_dump import find_client
from bootstrapper.config.units import show_seconds, show_size
from bootstrapper.errors import BackupError, ClientToolsError, GuardError, UsageError
from bootstrapper.events import Warned
from bootstrapper.plans import Action, Bounds, Change, Deferred, Finding
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Bounded, Explained

_STATUS = "status"  # a command that takes no backup, and so needs nothing to take it with
_CONTAINER_HINT = "Mount a volume there, name an absolute folder of one, or a URL."


class Backup(Step, Bounded, Explained):
    """Takes one backup per run, unless an unfinished run of the same configuration took one at the same revision."""

    uses = "backup"
    transactional = False
    always_on_command = True
    borrows_session = False
    leaves_others_alone = True

    class With(BackupSettings):
        """The `with:` block of a backup step; BackupSettings tells what each key means."""

    options: With

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """Also finds out whether a backup can be taken at all: what is wrong is to show before anything is changed.

        Raises UsageError where `file` is something else than a backup, GuardError behind a pooler, ClientToolsError
        where there is no pg_dump for this server, and BackupError where the settings ask for what cannot be had here.
        """
        run = run_of(context)
        options = self.options
        if options.file is not None and run.project.command != _STATUS:
            require_free(run.project.path(options.file), run.project, overwrite=options.overwrite)
        with self._placed():
            store = store_of(options, run)
            known = store.backups()
            if not run.declaration.has_check and self._taken(run, known) is not None:
                return []
            if run.project.command != _STATUS:
                self._require_ready(run)
        expected = expectation(run.connection, self._ours(run, known))
        return [Change.run(self._target(run), reason=f"{self._why(run, known)}; {expected}")]

    def _why(self, context: RunContext, known: Sequence[TakenBackup]) -> str:
        if context.project.command == self.uses:
            return "asked for"
        earlier = self._of_unfinished_run(context, known) if self.options.file is None else None
        if earlier is None:
            return "no verified backup by this run yet"
        limit = show_seconds(self.options.reuse_for) if self.options.reuse_for else "0"
        return f"that of the unfinished run {earlier.manifest.run_id} is {_age(earlier)} old, and reuse_for is {limit}"

    def done_reason(self, context: Context) -> str:
        run = run_of(context)
        taken = self._taken(run, store_of(self.options, run).backups())
        if taken is None or taken.manifest.run_id == run.run_id:
            return "as declared"
        by = f"the unfinished run {taken.manifest.run_id}"
        return f"{taken.where} was taken {_age(taken)} ago by {by} at the same revision"

    def findings(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Finding]:
        run = run_of(context)
        folder = goes_with_container(self.options, run) if changes else None
        if folder is None:
            return ()
        return [Finding(f"folder {folder}", "is inside this container and ends with it", _CONTAINER_HINT)]

    def bounds(self, context: Context, changes: Sequence[Change | Deferred]) -> Bounds | None:
        return None if changes else Bounds(frozenset({Action.RUN}), 1)

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        run = run_of(context)
        if (folder := goes_with_container(self.options, run)) is not None:
            run.emit(Warned(f"{folder} is inside this container: the backup ends with it", _CONTAINER_HINT))
        store = store_of(self.options, run)
        store.prepare()
        taken = self._take(run, store)
        size, seconds = show_size(taken.manifest.size), show_seconds(taken.manifest.seconds or 0)
        run.report(f"{taken.where}: {size}, read back whole, in {seconds}")
        if self.options.file is None:
            self._retire(run, store, taken)

    def _take(self, context: RunContext, store: Store) -> TakenBackup:
        if self.options.file is not None:
            return take(context, context.project.path(self.options.file), self.options)
        name = dated_name(store, context.session.server.database, context.run_id, self.options.dated_suffix)
        return take_into(context, store, name, self.options, self.options.dated_format)

    def _require_ready(self, context: RunContext) -> None:
        options = self.options
        find_client(context, options, options.format_of(options.file) if options.file else options.dated_format)
        if options.encrypt is not None:
            Encrypter(options.encrypt, context.project)
        elif options.file is not None and options.file.endswith(ENCRYPTED_SUFFIX):
            told = f"a file whose name ends in {ENCRYPTED_SUFFIX} has to be encrypted, and nothing says for whom"
            raise UsageError(told, hint="Add `encrypt` to the step, or take another name.", source=self.source)

    def _taken(self, context: RunContext, known: Sequence[TakenBackup]) -> TakenBackup | None:
        """A verified backup that this run need not repeat; the command `backup` takes its own in any case."""
        if self.options.file is not None:
            fixed = catalogue.find(context.project.path(self.options.file))
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
        """The newest that an unfinished run of the same configuration took at the revision that the database is at."""
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
        """Verified ones that this step took of this database, newest first."""
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
        """Without time and run, so that a plan says the same when it is made again."""
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
            context.report(f"{backup.where}: removed, newer ones are kept")

    @contextmanager
    def _placed(self) -> Iterator[None]:
        """What is wrong with the settings is told with their place in the file."""
        try:
            yield
        except (BackupError, ClientToolsError, GuardError) as error:
            error.at(self.source)
            raise


def _age(backup: TakenBackup) -> str:
    return show_seconds(backup.manifest.age_seconds(datetime.now(UTC)))
