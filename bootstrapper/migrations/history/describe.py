"""How revisions look in a plan."""

from __future__ import annotations

from pathlib import Path

from bootstrapper.migrations.history.revisions import Revision
from bootstrapper.plans import Action, Change, Deferred
from bootstrapper.plugin.project import Project

_TARGET = "revision "


def change(revision: Revision, project: Project, action: Action = Action.RUN) -> Change:
    """One revision to run, or to take back."""
    file = {} if revision.file is None else {"file": _relative(revision.file, project.directory)}
    return Change(action, f"{_TARGET}{revision.id}", revision.message, after=file)


def revision_of(item: Change | Deferred) -> str | None:
    """The id in a change that `change` made, None for any other."""
    if not isinstance(item, Change) or not item.target.startswith(_TARGET):
        return None
    return item.target.removeprefix(_TARGET)


def _relative(file: Path, directory: Path) -> str:
    try:
        return str(file.relative_to(directory.resolve()))
    except ValueError:
        return str(file)
