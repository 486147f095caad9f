"""Takes a backup: pg_dump into a draft, read back whole, then named."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bootstrapper.backups.client_programs import Runner, in_background
from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.catalogue import Backup
from bootstrapper.backups.stores.folder import FileDraft, Folder, FolderDraft
from bootstrapper.backups.stores.manifest import Format, Manifest
from bootstrapper.backups.stores.signature import signed
from bootstrapper.backups.stores.store import Draft, Store
from bootstrapper.backups.take import database
from bootstrapper.backups.take.encryption import Encrypter
from bootstrapper.backups.take.pg_dump import Client, find_client
from bootstrapper.backups.take.retry import with_patience
from bootstrapper.backups.take.streaming import Stream
from bootstrapper.backups.take.tailing import tailing
from bootstrapper.backups.take.verify import checksum, verify
from bootstrapper.errors import BackupError
from bootstrapper.plugin.run_context import RunContext

__all__ = ["checksum", "format_of", "take", "take_into", "verify"]

PROGRESS_SECONDS = 0.5

_FULL_BYTES = 64 * 1024  # less than this free is a full disk: programs write in larger pieces

# pg_dump 18 only appends to a standard output that it did not open itself, so that the note where each table begins,
# which parallel restores need, would stay empty. A program around pg_dump still gets to see all of the dump.
_BY_NAME = ("--file=/dev/stdout", "--no-sync")  # the draft syncs it


def format_of(file: Path) -> Format:
    """What the name alone says."""
    return BackupSettings().format_of(file.name)


def take(context: RunContext, final: Path, settings: BackupSettings | None = None) -> Backup:
    """Backs the run's database up into `final`, as `take_into` does."""
    settings = settings or BackupSettings()
    return take_into(context, Folder(final.parent), final.name, settings, settings.format_of(final.name))


def take_into(context: RunContext, store: Store, name: str, settings: BackupSettings, format_: Format) -> Backup:
    """Backs the run's database up; the dump gets its name only when it is verified.

    The caller is outside any transaction. The place exists.

    Raises:
        BackupError: pg_dump failed, the dump can not be written, or what was written can not be read back.
        ClientToolsError: There is no pg_dump for this server.
        GuardError: The connection leads through a pooler.
        FencedOffError: The lock was lost meanwhile.
        UnreachableError: pg_dump found no connection that was free, however often it was tried.
    """
    jobs = settings.jobs or 0 if format_ == "directory" else 0
    return with_patience(context, jobs + 1, lambda: _take_once(context, store, name, settings, format_))


def _take_once(context: RunContext, store: Store, name: str, settings: BackupSettings, format_: Format) -> Backup:
    dump = _begin(context, settings, format_)
    try:
        with _draft(store, name, format_) as draft:
            digest = _write(dump, draft, store)
            manifest = dump.manifest(name, digest, draft.size)
            dump.require_hold()
            taken = draft.publish(manifest)
    except OSError as error:
        raise BackupError(f"{store.where}/{name} can not be written: {error.strerror or error}") from error
    context.progress(manifest.size, manifest.size, "bytes")
    return taken


def _write(dump: _Dump, draft: Draft, store: Store) -> str:
    """Programs say that a disk is full, and not which one; looked at while the draft still takes its room."""
    try:
        return dump.write(draft)
    except BackupError as error:
        if isinstance(store, Folder) and shutil.disk_usage(store.path).free < _FULL_BYTES:
            error.hint = f"The disk of {store.path} is full: free space on it, or name another `directory`."
        raise


@dataclass(frozen=True, kw_only=True)
class _Dump:
    """One dump under way, and what was known of the database when it was begun."""

    context: RunContext
    format: Format
    client: Client
    encrypter: Encrypter | None
    runner: Runner
    began_at: float
    total: int
    revision: tuple[str, ...] | None
    rows: Mapping[str, int | None]
    left_out: tuple[str, ...]

    def write(self, draft: Draft) -> str:
        """Fills the draft, makes it last, and gives the checksum of what was read back from it."""
        if isinstance(draft, FolderDraft):
            return self._write_folder(draft)
        if isinstance(draft, FileDraft) and self.encrypter is None:
            return self._write_file(draft)
        stream = Stream(self.client, self.format, self.encrypter, self.runner)
        digest = stream.send(draft, on_line=self.context.report, on_tick=self._watch(draft))
        draft.finish()
        stream.read_back(draft, digest)
        return digest

    def _write_file(self, draft: FileDraft) -> str:
        """pg_dump writes the file itself, and notes at its end where each table begins."""
        run = partial(self.runner.run, stdout=draft.descriptor, on_line=self.context.report)
        if self.format == "plain":
            run(self.client.command, on_tick=self._watch(draft))
            return self._finish(draft, partial(self._verify, draft.path))
        with tailing(draft.path, self.client, self.runner) as tail:
            run([*self.client.command, *_BY_NAME], on_tick=self._watch(draft))
            return self._finish(draft, tail.finish)

    def _write_folder(self, draft: FolderDraft) -> str:
        command = [*self.client.command, "--no-sync", f"--file={draft.path}"]  # the draft syncs it all
        lock = (draft.descriptor,)
        self.runner.run(command, keep_open=lock, on_line=self.context.report, on_tick=self._watch(draft))
        return self._finish(draft, partial(self._verify, draft.path))

    def _finish(self, draft: FileDraft | FolderDraft, read_back: Callable[[], None]) -> str:
        """Reads back and sums up at the same time, on two cores where there are two."""
        draft.finish()
        digest = in_background(lambda: checksum(draft.path, self.runner.deadline))
        read_back()
        return digest.result()

    def _verify(self, path: Path) -> None:
        verify(
            path,
            self.format,
            self.client.tools,
            environment=self.runner.environment,
            deadline=self.runner.deadline,
            mask=self.runner.mask,
        )

    def _watch(self, draft: Draft) -> Callable[[], None]:
        """Tells how far the dump is, and stops it when the lock is lost."""
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
        if self.context.hold is not None:
            self.context.hold.require()

    def manifest(self, name: str, digest: str, size: int) -> Manifest:
        server = self.context.session.server
        made = Manifest(
            file=name,
            format=self.format,
            sha256=digest,
            size=size,
            database_size=self.total,
            database=server.database,
            server=self.context.session.target.where,
            system_identifier=server.system_identifier,
            server_version=server.version,
            client_version=self.client.tools.version_text,
            revision=self.revision,
            inputs=self.context.project.inputs,
            step=self.context.step,
            run_id=self.context.run_id,
            created_at=datetime.now(UTC),
            seconds=round(time.monotonic() - self.began_at, 3),
            rows=self.rows,
            encryption="age" if self.encrypter is not None else None,
            left_out=self.left_out,
        )
        return signed(made, self.context.project.variables)


def _begin(context: RunContext, settings: BackupSettings, format_: Format) -> _Dump:
    names = ("schemas", "tables", "exclude")
    left_out = [f"{name}: {pattern}" for name in names for pattern in getattr(settings, name)]
    return _Dump(
        context=context,
        format=format_,
        client=find_client(context, settings, format_),
        encrypter=Encrypter(settings.encrypt, context.project) if settings.encrypt is not None else None,
        runner=Runner.of(context),
        began_at=time.monotonic(),
        total=database.size(context.connection),
        revision=database.revision(context.connection),
        rows={} if settings.encrypt is not None else database.row_estimates(context.connection, context.project.ledger),
        left_out=(*left_out, *settings.extra_args),
    )


def _draft(store: Store, name: str, format_: Format) -> AbstractContextManager[Draft]:
    if format_ != "directory":
        return store.draft(name)
    if not isinstance(store, Folder):
        raise BackupError("a directory can not be streamed to a URL", hint="Take format custom.")
    return store.draft_folder(name)
