"""Restores into the existing database, in one transaction, after a new backup of it."""

from __future__ import annotations

import secrets
import socket
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from bootstrapper.backups.restore import (
    archive_toc,
    drop_existing,
    fetch,
    maintenance_database,
    psql,
    restored_ledger,
    sessions,
)
from bootstrapper.backups.restore.choose import Chosen, backup_settings
from bootstrapper.backups.restore.dump_reader import DumpReader
from bootstrapper.backups.restore.pg_restore import known_settings
from bootstrapper.backups.stores.atomic_files import draft, write_all
from bootstrapper.backups.stores.location import folder_in_container
from bootstrapper.backups.take.dump import plan_backup, take
from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError, UsageError
from bootstrapper.events import Warned
from bootstrapper.plans import Change
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.ledger import frozen
from bootstrapper.postgres.ledger.chain import storable
from bootstrapper.postgres.lock.hold import Hold

_LOCK_TIMEOUT = "35s"
_LOCK_PATIENCE_SECONDS = 30.0  # shorter, because its error is clearer
_LOCKED = 1651470190
_IS_LOCKED = """
SELECT 1 FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
    AND classid = %s AND objid = %s
"""


def require_archive(chosen: Chosen, option: str) -> None:
    """Raises UsageError for a plain dump, which is one script without parts."""
    if chosen.format == "plain":
        raise UsageError(
            f"{option} needs a dump in custom or directory format; this one is plain SQL",
            hint=f"Remove {option}, or choose another backup.",
        )


@dataclass(frozen=True)
class InPlace:
    """A restore under the lock: takes a backup first, then replaces everything in one transaction.

    Attributes:
        freezes: Why the restored database is left frozen; None if it is not. An earlier freeze stays, like the ledger.
    """

    context: RunContext
    reader: DumpReader
    changes: list[Change]
    terminate: bool = False
    freezes: str | None = None

    def run(self) -> str:
        """Restores, and returns where the backup of the previous content is."""
        require_archive(self.reader.chosen, "--in-place")
        context, hold = self.context, self._hold
        self._warn_of_others()
        try:
            with hold.beating(context.step):
                if self.terminate:
                    sessions.terminate(context.connection, context.session.server.database, [self._own_pid])
                safety = self._replay()
        except BackupError:
            with hold.transaction():  # raises FencedOffError if that was the reason
                pass
            raise
        with hold.transaction() as connection:
            as_of = restored_ledger.mark_as_of(self.reader.chosen.manifest)
            restored_ledger.record(connection, context.project.ledger, hold.fence, self.changes, marks=[as_of])
        return safety

    @property
    def _hold(self) -> Hold:
        return self.context.require_hold()

    @property
    def _own_pid(self) -> int:
        return self.context.connection.info.backend_pid

    def _warn_of_others(self) -> None:
        """Warns of other sessions, which may stay: the restore waits for writers, and later writers wait for it."""
        connection, name = self.context.connection, self.context.session.server.database
        found = sessions.others(connection, name, [self._own_pid])
        if found and not self.terminate:
            told = "; ".join(map(str, found))
            hint = "Pass --terminate to end their sessions."
            self.context.emit(Warned(f"other sessions are connected to database {name!r}: {told}", hint))

    def _back_up(self, context: RunContext) -> str:
        """Takes a complete backup into the store of the file's first backup step, and returns where it is."""
        whole = {"schemas": (), "tables": (), "exclude": (), "extra_args": (), "file": None}
        settings = backup_settings(context.project)[0].model_copy(update=whole)
        if settings.format == "plain":  # --in-place cannot restore it
            settings = settings.model_copy(update={"format": "custom", "compress": None, "jobs": None})
        if (folder := folder_in_container(settings, context)) is not None:
            hint = "Mount a volume there, or set `directory` of the backup step to a place outside."
            context.emit(
                Warned(f"{folder} is inside this container: the backup of the existing database is lost with it", hint)
            )
        planned = plan_backup(context, settings)
        planned.store.prepare()
        taken = take(context, planned)
        context.report(f"{taken.where}: backup of the existing database, verified")
        return taken.where

    def _replay(self) -> str:
        """Restores in one transaction, which first blocks writers, so that the backup contains every committed row."""
        context, names, fence = self.context, self.context.project.ledger, self._hold.fence
        there = drop_existing.contents(context.connection, names)
        key = secrets.randbelow(1 << 31)
        before = [
            "SELECT pg_catalog.set_config('search_path', '', true)",  # only names of pg_catalog are found
            f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'",
            "SET LOCAL statement_timeout = 0",  # the dump sets it too, but after the locks and drops
            "SET LOCAL client_min_messages = warning",
            "SET LOCAL idle_in_transaction_session_timeout = 0",
            *(["SET LOCAL client_connection_check_interval = '1s'"] if fence.watches_client else []),
            drop_existing.fence(names, str(fence.run_id), fence.token),
            *there.locks,
            *self._freezing(),
            f"SELECT pg_catalog.pg_advisory_xact_lock({_LOCKED}, {key})",
        ]
        safety: list[str] = []

        def meanwhile(deadline: Deadline) -> None:
            self._await_lock(key, deadline)
            safety.append(self._back_up(replace(context, deadline=deadline)))

        dump = str(self.reader.chosen.path)
        with draft(Path(tempfile.gettempdir(), f"{fetch.PREFIX}{secrets.token_hex(8)}.list")) as (path, descriptor):
            wanted = drop_existing.wanted(archive_toc.entries(self.reader.chosen.path), names, there)
            write_all(descriptor, "".join(f"{entry.number};\n" for entry in wanted).encode())
            # Without --single-transaction pg_restore commits around large objects.
            command = [self._pg_restore, "--file=-", "--single-transaction", f"--use-list={path}", dump]
            program = psql.within(self.reader.sealed, psql.of_program(command, self.reader.runner().environment))
            dumped = psql.known_only(psql.without_commit(program), known_settings(context.connection))
            drops = drop_existing.joined(there.drops).encode()
            psql.play(
                psql.after(drops, dumped),
                self.reader,
                context.own_target,
                before=drop_existing.joined(before),
                meanwhile=meanwhile,
                on_tick=self._hold.require,
            )
        return safety[0]

    def _freezing(self) -> list[str]:
        """Returns what freezes the database in the transaction of the restore: no run finds it restored and free."""
        if self.freezes is None:
            return []
        reason = storable(self.context.connection, self.freezes)
        return [frozen.statement(self.context.project.ledger, reason, socket.gethostname()).as_string(None).strip()]

    def _await_lock(self, key: int, deadline: Deadline) -> None:
        """Waits until the transaction has all its locks; raises BackupError if that takes too long."""
        patience = Deadline.after(_LOCK_PATIENCE_SECONDS)
        with closing(maintenance_database.enter(self.context.own_target, deadline)) as watcher:
            while not watcher.execute(_IS_LOCKED, (_LOCKED, key)).fetchone():
                if patience.has_passed or deadline.has_passed:
                    raise BackupError(
                        "other sessions are still writing",
                        hint="Stop the application, or pass --terminate to end their sessions.",
                    )
                time.sleep(0.05)

    @property
    def _pg_restore(self) -> str:
        return str(self.reader.tools("pg_restore").program("pg_restore"))
