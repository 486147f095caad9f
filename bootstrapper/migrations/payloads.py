"""Changes of the steps that move a database along its history: how a plan shows them, and what applying them needs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

from bootstrapper.dataclass import dataclass
from bootstrapper.migrations.history.revisions import Revision
from bootstrapper.migrations.state import State
from bootstrapper.plans import Action, Change, Deferred
from bootstrapper.plugin.project import Project

Payload = TypeVar("Payload")


@dataclass(frozen=True)
class Move:
    """One revision to run or to revert.

    Attributes:
        state: The database as it was found, or as the adoption before will leave it.
    """

    revision: Revision
    state: State


@dataclass(frozen=True)
class Adopt:
    """The revision to record once the schema was compared with what the revisions up to it build.

    Attributes:
        state: The database as it was found.
        rows: The version rows to write.
    """

    revision: str
    state: State
    rows: tuple[str, ...]


def moves(revisions: Iterable[Revision], state: State, project: Project, action: Action = Action.RUN) -> list[Change]:
    """Returns the changes that run revisions, or revert them."""
    folder = f"{project.directory.resolve()}{os.sep}"
    return [_move(revision, state, folder, action) for revision in revisions]


def _move(revision: Revision, state: State, folder: str, action: Action) -> Change:
    file = {} if revision.file is None else {"file": str(revision.file).removeprefix(folder)}
    return Change(action, f"revision {revision.id}", revision.message, after=file, payload=Move(revision, state))


def payloads(changes: Iterable[Change | Deferred], kind: type[Payload]) -> list[Payload]:
    """Returns what applying the changes of one kind needs, in order."""
    return [item.payload for item in changes if isinstance(item, Change) and isinstance(item.payload, kind)]


def revision_of(item: Change | Deferred) -> str | None:
    """Returns the id of the revision that a change runs or reverts; None for any other change."""
    return next((found.revision.id for found in payloads([item], Move)), None)
