"""What `status` tells beside the plan: revisions and heads, fixtures and their rows, the last backup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.newest import newest_backup
from bootstrapper.dataclass import dataclass
from bootstrapper.engine.open import Opened
from bootstrapper.migrations.history.versions import read_versions
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plans import Action, PlannedStep, State
from bootstrapper.plugin.traits import HasHeads, SeedsFixtures


@dataclass(frozen=True)
class Position:
    """The position of a database in the history of a step.

    Attributes:
        current: The revisions that it is at, empty before the first one; None if the role may not read them.
        heads: Those of the project's files; empty if only its code knows them.
    """

    step: str
    current: tuple[str, ...] | None
    heads: tuple[str, ...]

    @property
    def is_at_head(self) -> bool:
        return self.current is not None and set(self.current) == set(self.heads)


@dataclass(frozen=True)
class FixtureState:
    """How the rows of a fixture differ from those in the database.

    Attributes:
        state: `in sync`, `drifted`, `unknown`, or `not compared` if the answer of a check was enough.
        create: Declared rows that are missing.
        update: Rows that differ.
        delete: Rows that are not declared.
    """

    name: str
    step: str
    state: str
    create: int = 0
    update: int = 0
    delete: int = 0


@dataclass(frozen=True)
class LastBackup:
    """The newest verified backup of the database."""

    file: str
    taken_at: datetime
    age_seconds: float


def positions(run: Opened, connection: Connection[Any]) -> tuple[Position, ...]:
    """Reads the position of the database for each step with revisions."""
    found = []
    for entry in run.entries:
        settings = getattr(entry.unit, "options", None)
        if isinstance(entry.unit, HasHeads) and isinstance(settings, MigrationSettings):
            versions = read_versions(connection, settings)
            current = versions.rows if versions.is_readable else None
            found.append(Position(entry.name, current, tuple(entry.unit.heads(run.project))))
    return tuple(found)


def fixtures(run: Opened, steps: Sequence[PlannedStep]) -> tuple[FixtureState, ...]:
    """Tells the fixtures of each seed step apart, by its changes."""
    seeding = {entry.name: entry.unit for entry in run.entries if isinstance(entry.unit, SeedsFixtures)}
    return tuple(
        _fixture(name, step)
        for step in steps
        if step.name in seeding and step.state is not State.SKIPPED
        for name in seeding[step.name].seeds(list(run.project.fixtures))
    )


def _fixture(name: str, step: PlannedStep) -> FixtureState:
    counts = {
        action: sum(change.count for change in step.changes if change.origin == name and change.action is action)
        for action in (Action.CREATE, Action.UPDATE, Action.DELETE)
    }
    if any(counts.values()):
        return FixtureState(name, step.name, "drifted", *counts.values())
    if step.check is not None and step.check.is_yes:
        return FixtureState(name, step.name, "not compared")
    is_known = step.state is not State.UNKNOWN and not step.deferred
    return FixtureState(name, step.name, "in sync" if is_known else "unknown")


def last_backup(run: Opened) -> LastBackup | None:
    """Returns the newest backup in the stores of the file's backup steps. Raises BackupError if one is not readable."""
    entries = list(_backing_up(run))
    if not entries:
        return None
    found = newest_backup(run.looker.context(run.entries[0]), entries)
    if found is None:
        return None
    taken = found.manifest.created_at
    return LastBackup(found.where, taken, found.manifest.age_seconds(datetime.now(UTC)))


def _backing_up(run: Opened) -> Iterator[BackupSettings]:
    for unit in run.project.steps.values():
        if isinstance(unit.options, BackupSettings):
            yield unit.options
