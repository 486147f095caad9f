"""How revisions look in a plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bootstrapper.migrations.linting.known import Known
from bootstrapper.migrations.linting.locks import annotate
from bootstrapper.migrations.rendering import Rendered
from bootstrapper.migrations.revisions import Revision
from bootstrapper.plan import SQL
from bootstrapper.step import Action, Change, Deferred, Project

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


def with_sql(items: Sequence[Change | Deferred], rendered: Rendered) -> list[Change | Deferred]:
    """The changes with their statements, each with what it locks."""
    found: list[Change | Deferred] = []
    known = Known()
    for item in items:
        revision = revision_of(item)
        if revision is None or not isinstance(item, Change):
            found.append(item)
            continue
        found.append(replace(item, after={**item.after, SQL: annotate(rendered.text(revision), known)}))
    return found


def sql_by_revision(items: Iterable[Change | Deferred]) -> dict[str, str]:
    """The statements of those changes that show them."""
    changes = [(revision_of(item), item) for item in items if isinstance(item, Change)]
    return {name: item.after[SQL] or "" for name, item in changes if name is not None and SQL in item.after}


def _relative(file: Path, directory: Path) -> str:
    try:
        return str(file.relative_to(directory.resolve()))
    except ValueError:
        return str(file)
