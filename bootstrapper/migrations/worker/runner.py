"""Runs a project's Alembic in the worker, behind the fence; makes events and errors of its messages."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from bootstrapper.config.units import show_seconds
from bootstrapper.deadline import GIVE_LONGER
from bootstrapper.errors import BootstrapperError, MigrationError
from bootstrapper.events import Warned
from bootstrapper.migrations.history import connections
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.worker.launch import conversation, start
from bootstrapper.migrations.worker.process import Message, Reported
from bootstrapper.migrations.worker.worker_errors import RETRYABLE, failed
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.lock.hold import Hold

_AUTOCOMMIT = (
    "env.py connects with AUTOCOMMIT: an interrupted revision stays half applied, and the fence does not protect it"
)
_AUTOCOMMIT_HINT = "Connect without isolation_level in env.py, and use autocommit_block() for single statements."
SHORTEST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 15.0


@dataclass
class Progress:
    """The progress of the worker.

    Attributes:
        done: Revisions committed, over all attempts.
        where: The database that env.py connected to; None before it connected.
        revision: The revision that is being applied.
        transaction: The id of the transaction that it began in.
    """

    done: int = 0
    total: int = 0
    where: str | None = None
    revision: str | None = None
    transaction: str | None = None


class WorkerRun:
    """The work of one step: the worker, started again after a lock timeout."""

    def __init__(
        self,
        settings: MigrationSettings,
        ask: Callable[[Target], Mapping[str, Any]],
        context: RunContext,
        hold: Hold,
        *,
        total: int = 0,
    ) -> None:
        """Takes what makes the request of a worker that logs in at a target.

        Args:
            total: The number of revisions as far as it is known.
        """
        self._settings = settings
        self._ask = ask
        self.command = str(ask(context.project.target)["command"])
        self._context = context
        self._hold = hold
        self._deadline = context.deadline.sooner(settings.timeout)
        self.progress = Progress(total=total)
        self._warned_of: set[str] = set()
        self.written: list[Path] = []

    def run(self) -> None:
        """Does the work, one transaction per revision.

        Raises:
            MigrationError: A revision, env.py or Alembic failed; earlier revisions stay applied.
            FencedOffError: Another run has taken the lock.
        """
        for tries in range(1, self._settings.ddl_retries + 2):
            failure = self._run_worker()
            self._hold.require()
            if failure is None:
                return
            if tries > self._settings.ddl_retries or not self._may_retry(failure, tries):
                raise failed(failure, self._context)

    def has_committed_a_part(self) -> bool:
        """Whether a part of the current revision was committed, which only an autocommit block does."""
        return self._transaction_status() == "committed"

    def _run_worker(self) -> dict[str, Any] | None:
        """Runs one worker from start to end; returns the failure that it reports, None on success."""
        done_before = self.progress.done
        failure: dict[str, Any] | None = None
        project = self._context.project
        project = replace(project, target=project.target.current(self._deadline))
        with start(self._settings, project, self._ask(project.target)) as worker:
            self._hold.on_loss(worker.stop)
            try:
                for message in conversation(worker, self._deadline):
                    failure = self._note(message, done_before) or failure
            except BaseException as error:
                worker.stop()
                self._end_transaction()
                if isinstance(error, MigrationError):
                    self._hold.require()  # the heartbeat may have stopped the worker
                if isinstance(error, TimeoutError):
                    raise self._out_of_time() from error
                raise
        return failure

    def _note(self, message: Message, done_before: int) -> dict[str, Any] | None:
        progress = self.progress
        match message:
            case str():
                self._context.report(message)
            case Reported("connected", facts):
                progress.where = facts["where"]
            case Reported("driver", facts):
                self._context.report(f"{facts['reason']}; retrying with driver {facts['driver']}")
            case Reported("second_connection", facts):
                self._warn_of_second_connection(facts["revision"])
            case Reported("autocommit"):
                self._context.emit(Warned(_AUTOCOMMIT, _AUTOCOMMIT_HINT))
            case Reported("started", facts):
                progress.total = max(progress.total, done_before + facts["total"])
                self._show_progress()
            case Reported("began", facts):
                progress.revision, progress.transaction = facts["revision"], facts["transaction"]
            case Reported("applied", facts):
                progress.revision = progress.transaction = None
                progress.done = done_before + facts["done"]
                self._show_progress(facts["revision"])
            case Reported("written", facts):
                self.written.append(Path(facts["file"]))
            case Reported("failed", facts):
                return dict(facts)
        return None

    def _warn_of_second_connection(self, revision: str) -> None:
        """Warns except for the first revision: before it, committed changes are the same as under plain Alembic."""
        if self._settings.transaction_per_migration and self.progress.done and revision not in self._warned_of:
            self._warned_of.add(revision)
            self._context.emit(Warned(f"revision {revision} {connections.MESSAGE}", connections.REMEDY))

    def _show_progress(self, revision: str | None = None) -> None:
        self._context.progress(self.progress.done, self.progress.total, "revisions", revision or "")

    def _may_retry(self, failure: dict[str, Any], tries: int) -> bool:
        """Pauses, so that sessions queued behind the statement go first; returns whether nothing was committed."""
        if failure.get("sqlstate") not in RETRYABLE:
            return False
        pause = min(LONGEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS * 2**tries)
        pause = random.uniform(SHORTEST_PAUSE_SECONDS, pause)  # noqa: S311 - not a secret
        if self._deadline.seconds_left <= pause:
            return False
        self._context.report(f"{failure['reason']}; retrying in {show_seconds(pause)}")
        self._deadline.sleep(pause)
        return self._transaction_status() in (None, "aborted")

    def _transaction_status(self) -> str | None:
        """Returns the status of the transaction that the failed revision began in; an autocommit_block commits it."""
        if self.progress.transaction is None:
            return None
        query = "SELECT pg_catalog.pg_xact_status(%s::pg_catalog.xid8)"
        row = self._context.connection.execute(query, (self.progress.transaction,)).fetchone()
        return row[0] if row else None

    def _end_transaction(self) -> None:
        """Terminates the backend of the killed worker, which would run to the end of its statement.

        Looks it up by the id of its transaction: behind a pooler the backend may serve another client by now.
        """
        if self.progress.transaction is None:
            return
        query = (
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
            " WHERE backend_xid::pg_catalog.text OPERATOR(pg_catalog.=)"
            " pg_catalog.mod(%s::bigint, 4294967296)::pg_catalog.text"
            " AND datname OPERATOR(pg_catalog.=) pg_catalog.current_database()"
        )
        with suppress(psycopg.Error, BootstrapperError):
            self._context.connection.execute(query, (self.progress.transaction,))

    def _out_of_time(self) -> MigrationError:
        progress = self.progress
        return MigrationError(
            f"deadline exceeded: {progress.done} of {progress.total} revisions are applied",
            revision=progress.revision,
            hint=GIVE_LONGER,
        )
