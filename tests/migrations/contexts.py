"""Projects and contexts made by hand, for steps and checks that are tried without an executor."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from bootstrapper.builtin.steps.migrate import Migrate
from bootstrapper.config.document import parse
from bootstrapper.deadline import Deadline
from bootstrapper.events import Event, StepProgressed, StepReported
from bootstrapper.masking import Masker
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plans import Change, Deferred
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.run_ids import uuid7
from bootstrapper.postgres.lock.acquire import RunDetails, try_take
from bootstrapper.postgres.lock.hold import Hold


def make_project(directory: Path, url: str, variables: Mapping[str, str] | None = None) -> Project:
    return Project(
        name="trial",
        command="apply",
        directory=directory,
        document=parse(b"version: 1", "bootstrap.yaml"),
        environment=None,
        protected=False,
        target=Target.from_url(url),
        ledger=LedgerNames(),
        inputs="digest",
        variables={**os.environ, **(variables or {})},
        default_secrets=True,
    )


@dataclass
class Trial:
    """One migrate step on a database of its own."""

    step: Migrate
    context: RunContext
    events: list[Event] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [event.line for event in self.events if isinstance(event, StepReported)]

    @property
    def progress(self) -> list[tuple[int, int | None]]:
        return [(event.done, event.total) for event in self.events if isinstance(event, StepProgressed)]

    def changes(self) -> list[Change | Deferred]:
        with self.context.session.read_only():
            return list(self.step.changes(Context(self.context)))

    def pending(self) -> list[str]:
        return [change.target for change in self.changes() if isinstance(change, Change)]

    def apply(self) -> None:
        """As the executor does with a step that is not transactional: under the lock, with a heartbeat."""
        with self.held() as hold:
            self.apply_under(hold)

    def apply_under(self, hold: Hold) -> None:
        with hold.beating("migrate"):
            self.step.apply(Context(replace(self.context, hold=hold)), self.changes())

    @contextmanager
    def held(self) -> Iterator[Hold]:
        hold = try_take(self.context.session, LedgerNames(), RunDetails(uuid7(), "apply", None, "digest", "0"))
        assert isinstance(hold, Hold), hold
        try:
            yield hold
        finally:
            hold.release()

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """As the project's own sessions ask."""
        with psycopg.connect(self.context.project.target.conninfo(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def trial(
    directory: Path, url: str, *, variables: Mapping[str, str] | None = None, seconds: float = 30, **options: object
) -> Iterator[Trial]:
    """`options` are what the file has under `with:`."""
    project = make_project(directory, url, variables)
    masker = Masker()
    for secret in project.target.secrets:
        masker.learn(secret)
    session = Session(project.target, application_name="test", deadline=Deadline.after(seconds))
    settings = MigrationSettings.model_validate(options)
    step = Migrate("migrate", settings)
    events: list[Event] = []
    context = RunContext(
        project=replace(project, steps={"migrate": step}),
        step="migrate",
        session=session,
        emit=events.append,
        deadline=Deadline.after(seconds),
        logger=logging.getLogger("test"),
        masker=masker,
        options=settings,
    )
    try:
        yield Trial(step, context, events)
    finally:
        session.close()
