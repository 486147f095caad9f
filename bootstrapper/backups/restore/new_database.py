"""Restores into a new database, then swaps its name with that of the old one."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import Connection

from bootstrapper.backups.restore import (
    maintenance_database,
    restore_plan,
    restored_ledger,
    sessions,
    swap,
)
from bootstrapper.backups.restore.database_properties import copy_properties, create
from bootstrapper.backups.restore.dump_reader import DumpReader
from bootstrapper.backups.restore.pg_restore import fill, growth
from bootstrapper.backups.restore.privileges import require_may_replace, require_may_terminate
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import BootstrapperError, CommitUnknownError
from bootstrapper.plans import Change
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger import environment_mark, frozen
from bootstrapper.postgres.ledger.frozen import Freeze
from bootstrapper.postgres.lock.hold import Hold
from bootstrapper.postgres.server import scratch
from bootstrapper.postgres.server.database_properties import Properties, grants, properties

_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class NewDatabase:
    """A restore under the lock of the existing database.

    Attributes:
        terminate: Whether other sessions are terminated; otherwise they prevent the restore.
        jobs: The number of concurrent connections of pg_restore.
        freezes: Why the restored database is left frozen; None if it is not.
    """

    context: RunContext
    reader: DumpReader
    changes: list[Change]
    terminate: bool = False
    jobs: int = 1
    freezes: str | None = None

    def run(self) -> str:
        """Restores, and returns the name under which the old database is kept.

        Whenever it is killed, one complete database has the name: until the renames are committed the old one, then the
        new one. The next restore drops the remains.
        """
        name = self.context.session.server.database
        with maintenance_database.outside(self._target, name, self.context.deadline) as connection:
            for left in scratch.drop_abandoned(connection, maintenance_database.PREFIX):
                self.context.report(f"dropped {left}, left behind by an interrupted restore")
            require_may_replace(connection, self._target.where, name)
            sessions.require_no_prepared(connection, name)
            if self.terminate:
                require_may_terminate(connection, name, [self.context.connection.info.backend_pid])
            self._require_alone(connection, name)
            like = properties(connection, name)
            with scratch.reserved_name(connection, maintenance_database.PREFIX) as new:
                create(connection, new, like, self._target.where)
                freeze = self._fill(connection, new, like)
                aside = swap.kept_name(name, self._hold.fence.run_id)
                self._exchange(connection, new, aside, like)
        self._carry(freeze, aside, name)
        return aside

    @property
    def _target(self) -> Target:
        return self.context.own_target

    @property
    def _hold(self) -> Hold:
        return self.context.require_hold()

    def _require_alone(self, connection: Connection[Any], name: str) -> None:
        """Raises GuardError if other sessions stay connected; the renames ask again, this only saves the long work.

        Other runs connect now and then, for a moment.
        """
        patience = self.context.deadline.sooner(_PATIENCE_SECONDS)
        own = [self.context.connection.info.backend_pid]
        while (found := sessions.others(connection, name, own)) and not self.terminate:
            if patience.has_passed:
                raise sessions.refusal(found, name)
            time.sleep(0.1)

    def _fill(self, connection: Connection[Any], new: str, like: Properties) -> Freeze | None:
        """Fills the new database, and returns the freeze that it has from the old one."""
        context, target = self.context, self._target.with_database(new)
        manifest = self.reader.chosen.manifest
        with self._hold.beating(context.step):
            tick = growth(context, connection, new, manifest.database_size if manifest else None)
            fill(self.reader, target, connection, on_tick=tick, jobs=self.jobs)
            with maintenance_database.enter(target, context.deadline) as inside:
                began = restored_ledger.started_at(context.connection, self._hold.fence)
                origin = restore_plan.origin(self.reader.chosen, self.changes[0])
                freeze = frozen.read(context.connection, context.project.ledger)
                restored_ledger.settle(
                    inside,
                    self._hold.fence,
                    project=context.project,
                    changes=self.changes,
                    began=began,
                    manifest=manifest,
                    origin=origin,
                    carried=freeze,
                    mark=environment_mark.read(context.connection, context.project.ledger),
                    reason=self.freezes,
                )
                inside.execute("ANALYZE")  # a dump has no statistics, which the first queries need
            copy_properties(connection, new, like)
        return freeze

    def _carry(self, known: Freeze | None, aside: str, name: str) -> None:
        """Brings along a freeze that was made while the new database was being filled."""
        deadline, names = self.context.deadline, self.context.project.ledger
        with maintenance_database.enter(self._target.with_database(aside), deadline) as inside:
            freeze = frozen.read(inside, names)
        if freeze is not None and freeze != known:
            with maintenance_database.enter(self._target.with_database(name), deadline) as inside:
                frozen.replace(inside, names, freeze, None, freeze.host)

    def _exchange(self, connection: Connection[Any], new: str, aside: str, like: Properties) -> None:
        """Swaps the names. The run's own session would block that, so the lock's row names `connection` as worker.

        While that is alive the lock stays held; breaking the lock terminates it, and with it the renames.
        """
        name = self.context.session.server.database
        oid = swap.oid_of(connection, new)
        with maintenance_database.outside(self._target, name, self.context.deadline) as watcher:
            self._hold.announce(connection)
            self._hold.hand_over()
            try:
                swap.swap(
                    connection,
                    watcher,
                    name=name,
                    new=new,
                    kept=aside,
                    grants=grants(name, like),
                    terminate=self.terminate,
                    deadline=self.context.deadline,
                )
            except (BootstrapperError, psycopg.Error) as error:
                if not (isinstance(error, CommitUnknownError) and self._has_name(name, oid)):
                    self._note(name, "failed", error)
                    raise
        self._note(aside, "done")

    def _has_name(self, name: str, oid: int) -> bool:
        """Returns whether the swap was committed, after the connection was lost at COMMIT; false if unreachable."""
        try:
            with maintenance_database.outside(self._target, name, self.context.deadline) as connection:
                return swap.oid_of(connection, name) == oid
        except (psycopg.Error, BootstrapperError):
            return False

    def _note(self, database: str, outcome: str, error: Exception | None = None) -> None:
        """Records the outcome in the old database's ledger, which otherwise shows the run as unfinished."""
        text = self.context.masker.mask(str(error)) if error is not None else None
        target = self._target.with_database(database)
        with (
            suppress(psycopg.Error, BootstrapperError),
            maintenance_database.enter(target, self.context.deadline) as inside,
        ):
            restored_ledger.note_end(inside, self._hold.fence, outcome, text)
