"""Takes a backup: pg_dump into a draft, which gets its final name after it has been read back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bootstrapper.backups.client_programs import ClientRunner, in_background
from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.folder import FileDraft, Folder, FolderDraft
from bootstrapper.backups.stores.location import store_of
from bootstrapper.backups.stores.manifest import Format, Manifest
from bootstrapper.backups.stores.retention import dated_name
from bootstrapper.backups.stores.signature import signed
from bootstrapper.backups.stores.store import Backup, Draft, Store
from bootstrapper.backups.take import database
from bootstrapper.backups.take.encryption import Encrypter
from bootstrapper.backups.take.pg_dump import Client, find_client
from bootstrapper.backups.take.retry import retry_connecting
from bootstrapper.backups.take.streaming import Stream, tailing
from bootstrapper.backups.take.verify import checksum, verify
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import BackupError
from bootstrapper.plugin.run_context import RunContext

PROGRESS_SECONDS = 0.5

_FULL_BYTES = 64 * 1024  # a disk with less free space is full: programs write larger pieces

# pg_dump 18 only appends to a standard output that it did not open itself and does not write where each table begins,
# which parallel restores need. A program around pg_dump still receives all of the dump.
_BY_NAME = ("--file=/dev/stdout", "--no-sync")  # the draft syncs it


@dataclass(frozen=True, kw_only=True)
class PlannedBackup:
    """A backup that is ready to be taken.

    Attributes:
        store: Where it goes.
        name: The name of the dump; None for a new dated one.
        client: The program that dumps, with its options.
        encrypter: The keys; None leaves the dump unencrypted.
    """

    settings: BackupSettings
    store: Store
    name: str | None
    format: Format
    client: Client
    encrypter: Encrypter | None


def plan_backup(context: RunContext, settings: BackupSettings, store: Store | None = None) -> PlannedBackup:
    """Finds everything that the backup needs; writes nothing.

    Args:
        store: Where it goes; that of the settings if left out.

    Raises:
        BackupError: pg_dump does not know an option, a key is not readable, or a remote store is not reachable.
        ClientToolsError: There is no pg_dump for this server.
        GuardError: The connection leads through a pooler.
    """
    format_ = settings.dated_format if settings.file is None else settings.format_of(settings.file)
    return PlannedBackup(
        settings=settings,
        store=store or store_of(settings, context),
        name=None if settings.file is None else Path(settings.file).name,
        format=format_,
        client=find_client(context, settings, format_),
        encrypter=Encrypter(settings.encrypt, context.project) if settings.encrypt is not None else None,
    )


def take(context: RunContext, planned: PlannedBackup) -> Backup:
    """Takes the backup into its prepared store, outside any transaction; the dump gets its name once verified.

    Raises:
        BackupError: pg_dump failed, the dump cannot be written, or it cannot be read back.
        FencedOffError: The lock was lost meanwhile.
        UnreachableError: pg_dump could not connect after several attempts.
    """
    database_name, suffix = context.session.server.database, planned.settings.dated_suffix
    name = planned.name or dated_name(planned.store, database_name, context.run_id, suffix)
    jobs = planned.settings.jobs or 0 if planned.format == "directory" else 0
    return retry_connecting(context, jobs + 1, lambda: _take_once(context, planned, name))


def _take_once(context: RunContext, planned: PlannedBackup, name: str) -> Backup:
    store, dump = planned.store, _begin(context, planned)
    try:
        with _draft(store, name, planned.format) as draft:
            digest = _write(dump, draft, store)
            manifest = dump.manifest(name, digest, draft.size)
            dump.require_hold()
            taken = draft.publish(manifest)
    except OSError as error:
        raise BackupError(f"cannot write {store.where}/{name}: {error.strerror or error}") from error
    context.progress(manifest.size, manifest.size, "bytes")
    return taken


def _write(dump: _Dump, draft: Draft, store: Store) -> str:
    """Names the full disk in the error, while the draft still fills it: programs do not tell which one it is."""
    try:
        return dump.write(draft)
    except BackupError as error:
        if isinstance(store, Folder) and shutil.disk_usage(store.path).free < _FULL_BYTES:
            error.hint = f"The disk of {store.path} is full: free space on it, or choose another `directory`."
        raise


@dataclass(frozen=True, kw_only=True)
class _Dump:
    """A dump under way, and what the database was like when it began."""

    context: RunContext
    planned: PlannedBackup
    runner: ClientRunner
    began_at: float
    total: int
    revision: tuple[str, ...] | None
    rows: Mapping[str, int | None]

    def write(self, draft: Draft) -> str:
        """Fills the draft, syncs it, and returns the checksum of what was read back from it."""
        if isinstance(draft, FolderDraft):
            return self._write_folder(draft)
        planned = self.planned
        if isinstance(draft, FileDraft) and planned.encrypter is None:
            return self._write_file(draft)
        stream = Stream(planned.client, planned.format, planned.encrypter, self.runner)
        digest = stream.send(draft, on_line=self.context.report, on_tick=self._watch(draft))
        draft.finish()
        stream.read_back(draft, digest)
        return digest

    def _write_file(self, draft: FileDraft) -> str:
        """Lets pg_dump write the file itself, so that it can add where each table begins."""
        run = partial(self.runner.run, stdout=draft.descriptor, on_line=self.context.report)
        client = self.planned.client
        if self.planned.format == "plain":
            run(client.command, on_tick=self._watch(draft))
            return self._finish(draft, partial(self._verify, draft.path))
        with tailing(draft.path, client, self.runner) as tail:
            run([*client.command, *_BY_NAME], on_tick=self._watch(draft))
            return self._finish(draft, tail.finish)

    def _write_folder(self, draft: FolderDraft) -> str:
        command = [*self.planned.client.command, "--no-sync", f"--file={draft.path}"]  # the draft syncs it all
        lock = (draft.descriptor,)
        self.runner.run(command, keep_open=lock, on_line=self.context.report, on_tick=self._watch(draft))
        return self._finish(draft, partial(self._verify, draft.path))

    def _finish(self, draft: FileDraft | FolderDraft, read_back: Callable[[], None]) -> str:
        """Reads the dump back and computes its checksum at the same time."""
        draft.finish()
        digest = in_background(lambda: checksum(draft.path, self.runner.deadline))
        read_back()
        return digest.result()

    def _verify(self, path: Path) -> None:
        verify(path, self.planned.format, self.planned.client.tools, self.runner)

    def _watch(self, draft: Draft) -> Callable[[], None]:
        """Returns a function that reports progress, and raises when the lock is lost."""
        next_at = 0.0

        def tick() -> None:
            nonlocal next_at
            self.require_hold()
            if time.monotonic() >= next_at:
                next_at = time.monotonic() + PROGRESS_SECONDS
                written = draft.size
                self.context.progress(written, max(self.total, written), "bytes")

        return tick

    def require_hold(self) -> None:
        self.context.require_not_fenced_off()

    def manifest(self, name: str, digest: str, size: int) -> Manifest:
        server, settings = self.context.session.server, self.planned.settings
        names = ("schemas", "tables", "exclude")
        left_out = [f"{name}: {pattern}" for name in names for pattern in getattr(settings, name)]
        made = Manifest(
            file=name,
            format=self.planned.format,
            sha256=digest,
            size=size,
            database_size=self.total,
            database=server.database,
            server=self.context.session.target.where,
            system_identifier=server.system_identifier,
            server_version=server.version,
            client_version=self.planned.client.tools.version_text,
            revision=self.revision,
            inputs=self.context.project.inputs,
            step=self.context.step,
            run_id=self.context.run_id,
            created_at=datetime.now(UTC),
            seconds=round(time.monotonic() - self.began_at, 3),
            rows=self.rows,
            encryption="age" if self.planned.encrypter is not None else None,
            left_out=(*left_out, *settings.extra_args),
        )
        return signed(made, self.context.project.variables)


def _begin(context: RunContext, planned: PlannedBackup) -> _Dump:
    connection, names = context.connection, context.project.ledger
    return _Dump(
        context=context,
        planned=planned,
        runner=ClientRunner.of(context),
        began_at=time.monotonic(),
        total=database.size(connection),
        revision=database.revision(connection),
        rows={} if planned.encrypter is not None else database.row_estimates(connection, names),
    )


def _draft(store: Store, name: str, format_: Format) -> AbstractContextManager[Draft]:
    if format_ != "directory":
        return store.draft(name)
    if not isinstance(store, Folder):
        raise BackupError("cannot stream a directory to a URL", hint="Use format custom.")
    return store.draft_folder(name)
