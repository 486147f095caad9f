"""Contexts for tests that need neither a file nor a run."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.manifest import Format
from bootstrapper.backups.stores.store import Backup, Store
from bootstrapper.backups.take import dump
from bootstrapper.config.document import parse
from bootstrapper.deadline import Deadline
from bootstrapper.engine.probes import ask_probes, with_probes
from bootstrapper.events import Event, StepReported
from bootstrapper.masking import Masker
from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.project import Declaration, Project
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step, Unit
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger.ledger import LedgerNames, finish_run
from bootstrapper.postgres.ledger.run_ids import uuid7
from bootstrapper.postgres.lock.acquire import RunDetails, try_take
from bootstrapper.postgres.lock.hold import Hold
from tests.servers import Server
from tests.waiting import at_most


@dataclass
class Bench:
    """One database and one project; contexts are made on it."""

    target: Target
    project: Project
    session: Session
    events: list[Event] = field(default_factory=list)
    masker: Masker = field(default_factory=Masker)

    @property
    def lines(self) -> list[str]:
        return [event.line for event in self.events if isinstance(event, StepReported)]

    def context(self, step: str = "step", hold: Hold | None = None, deadline: Deadline | None = None) -> RunContext:
        return RunContext(
            project=self.project,
            step=step,
            session=self.session,
            emit=self.events.append,
            deadline=deadline or Deadline.after(at_most(60)),
            logger=logging.getLogger("tests"),
            masker=self.masker,
            hold=hold,
        )

    @contextmanager
    def run(self, outcome: str | None = "done") -> Iterator[Hold]:
        """A run that has the lock; None leaves it without an outcome, as a killed one does."""
        details = RunDetails(uuid7(), "apply", self.project.environment, self.project.inputs, "0")
        hold = try_take(self.session, self.project.ledger, details)
        assert isinstance(hold, Hold)
        try:
            yield hold
            if outcome is not None:
                with hold.transaction() as connection:
                    finish_run(connection, self.project.ledger, hold.fence.run_id, outcome)
        finally:
            hold.release()

    def clean(self) -> None:
        """Makes the database as good as new, and much sooner than a new one is made."""
        self.session.close()
        self.execute(
            "DROP SCHEMA IF EXISTS bootstrapper, app CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        )

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """On a connection of its own, committed."""
        with psycopg.connect(self.target.conninfo(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def shared_database(server: Server, name: str) -> Iterator[str]:
    """One database for the tests of a module."""
    server.create_database(name)
    yield server.url(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def make_bench(
    url: str,
    folder: Path,
    *,
    inputs: str = "digest",
    environment: str | None = None,
    schema: str = "bootstrapper",
    variables: Mapping[str, str] | None = None,
    steps: Mapping[str, Unit] | None = None,
) -> Bench:
    target = Target.from_url(url)
    project = Project(
        name="test",
        command="apply",
        directory=folder,
        document=parse(b"version: 1\n", "bootstrap.yaml"),
        environment=environment,
        protected=False,
        target=target,
        ledger=LedgerNames(schema),
        inputs=inputs,
        variables={"PATH": os.environ["PATH"], **(variables or {})},
        default_secrets=True,
        steps=steps or {},
    )
    bench = Bench(target, project, Session(target, application_name="tests", deadline=Deadline.after(at_most(60))))
    bench.masker.learn(target.password)
    return bench


def ask(check: Check, bench: Bench) -> Answer:
    """As a plan asks it: in a READ ONLY transaction."""
    context = bench.context(check.step)
    with bench.session.read_only() as connection:
        answers = ask_probes(connection, with_probes([check]))
        return answers[id(check)]() if answers else check.ask(Context(context))


def plan(step: Step, bench: Bench, hold: Hold | None = None, *, has_check: bool = False) -> list[Any]:
    context = replace(bench.context(step.name, hold), declaration=Declaration(has_check=has_check))
    with bench.session.read_only():
        return list(step.changes(Context(context)))


def apply(step: Step, bench: Bench, deadline: Deadline | None = None) -> None:
    """In a run of its own: a transactional step in a fenced transaction, any other outside of one."""
    with bench.run() as hold:
        apply_in(hold, step, bench, deadline)


def apply_in(hold: Hold, step: Step, bench: Bench, deadline: Deadline | None = None) -> None:
    """The changes that the step plans under this lock."""
    context = Context(bench.context(step.name, hold, deadline))
    with hold.read_only():
        changes = step.changes(context)
    if not step.transactional:
        step.apply(context, changes)
        return
    with hold.transaction(), hold.lent() if step.borrows_session else nullcontext():
        step.apply(context, changes)


def take(context: RunContext, final: Path, settings: BackupSettings | None = None) -> Backup:
    """A backup in this file."""
    settings = (settings or BackupSettings()).model_copy(update={"file": str(final)})
    return dump.take(context, dump.plan_backup(context, settings))


def take_into(context: RunContext, store: Store, name: str, settings: BackupSettings, format_: Format) -> Backup:
    """A backup of this name in the store."""
    settings = settings.model_copy(update={"format": format_})
    return dump.take(context, replace(dump.plan_backup(context, settings, store), name=name))


def threads_left() -> list[str]:
    """Returns the threads of a backup that do not end."""
    ours = [thread for thread in threading.enumerate() if thread.name == "bootstrapper backup"]
    for thread in ours:
        thread.join(at_most(5))
    return [thread.name for thread in ours if thread.is_alive()]
