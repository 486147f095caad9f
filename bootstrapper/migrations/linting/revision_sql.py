"""Revisions with their statements and hazards; runs that ask for neither do not load this module."""

from __future__ import annotations

import os.path
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bootstrapper.config.run_cache import Kept
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import MigrationError, Source
from bootstrapper.events import Event
from bootstrapper.migrations.history.revisions import Revision
from bootstrapper.migrations.linting import review
from bootstrapper.migrations.linting.known import Known
from bootstrapper.migrations.linting.lint import Script, lint_unseen
from bootstrapper.migrations.linting.locks import annotate
from bootstrapper.migrations.payloads import Move, payloads, revision_of
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import State, read_declared
from bootstrapper.migrations.worker.offline_sql import Direction, Rendered, Walk, render
from bootstrapper.plans import SQL, Change, Deferred, Finding, Hazard, HazardName, TableLock
from bootstrapper.plugin.run_context import RunContext

_RENDERED = Kept[tuple[str, Direction, tuple[Walk, ...]], Rendered]()
_ASKS_FOR_MODE = re.compile(r"\b(?:is_offline_mode|as_sql)\b")


@dataclass(frozen=True)
class Rendering:
    """The SQL of the revisions of a step, rendered once in a run.

    Attributes:
        walks: From which version rows to which target.
    """

    settings: MigrationSettings
    state: State
    context: RunContext
    walks: tuple[Walk, ...]
    direction: Direction = "upgrade"

    def with_sql(self, items: Sequence[Change | Deferred]) -> list[Change | Deferred]:
        """Returns the changes with their statements, each with a comment about its lock."""
        found: list[Change | Deferred] = []
        known = Known()
        for item in items:
            revision = revision_of(item)
            if revision is None or not isinstance(item, Change):
                found.append(item)
                continue
            text = self._rendered(self.context).text(revision)
            found.append(replace(item, after={**item.after, SQL: annotate(text, known)}))
        return found

    def hazards(self, items: Sequence[Change | Deferred]) -> list[Hazard | TableLock]:
        """Returns hazards and locks of the revisions; none in a database without rows, where nothing is rendered.

        Raises MigrationError for a revision whose own code is wrong.
        """
        if not review.has_much_to_lose(self.context):
            return []
        rendered = self._rendered(replace(self.context, emit=_drop))  # the reader did not ask for what env.py prints
        files = {revision_of(item): item.after.get("file") or "" for item in items if isinstance(item, Change)}
        revisions = [move.revision for move in payloads(items, Move)]
        _require_unbroken(rendered, revisions)
        found = review.hazards(
            self.context,
            _scripts(rendered, revisions, files),
            transaction_per_script=self.settings.transaction_per_migration,
        )
        return [*_unread(rendered, revisions, files), *found]

    def _rendered(self, context: RunContext) -> Rendered:
        kept = self.context.project.cache.of(_RENDERED)
        key = (self.context.step, self.direction, self.walks)
        if key not in kept:
            kept[key] = render(self.settings, self.state.declared.layout, context, self.walks, self.direction)
        return kept[key]


def hazards_of_files(
    settings: MigrationSettings, context: RunContext, source: Source | None, paths: Collection[Path]
) -> tuple[list[Path], list[Hazard]]:
    """Returns those files that are revisions of the step, and the hazards in them, without a database.

    Each table that these revisions do not create counts as one with rows. Runs env.py, which cannot connect. Raises
    MigrationError for a revision whose own code is wrong.
    """
    project = context.project
    declared = read_declared(settings, project, deadline=context.deadline, report=context.report, source=source)
    history = declared.history
    wanted = {path.resolve(): path for path in paths}
    everything = history.pending((), history.heads)
    chosen = {each: wanted[each.file.resolve()] for each in everything if each.file and each.file.resolve() in wanted}
    if not chosen:
        return [], []
    walks = [(history.rows_after((), history.parents(each.id)), each.id) for each in chosen]
    rendered = render(settings, declared.layout, replace(context, emit=_drop), walks)
    _require_unbroken(rendered, list(chosen))
    files: dict[str | None, str] = {each.id: os.path.relpath(path, project.directory) for each, path in chosen.items()}
    scripts = _scripts(rendered, list(chosen), files)
    found = lint_unseen(scripts, transaction_per_script=settings.transaction_per_migration)
    return list(chosen.values()), [*_unread(rendered, list(chosen), files), *found]


def _require_unbroken(rendered: Rendered, revisions: Sequence[Revision]) -> None:
    """Raises MigrationError for the first revision that no database could run: nothing is to be allowed about it."""
    for name in ("", *(revision.id for revision in revisions)):
        if name in rendered.broken:
            raise MigrationError(
                rendered.broken[name],
                revision=name or None,
                hint="Correct the file; with a database it fails likewise.",
            )


def _scripts(rendered: Rendered, revisions: Sequence[Revision], files: Mapping[str | None, str]) -> list[Script]:
    return [
        Script(f"revision {each.id}", sql, files.get(each.id, ""), rendered.lines.get(each.id, ()))
        for each in revisions
        if (sql := rendered.sql.get(each.id))
    ]


def _unread(rendered: Rendered, revisions: Sequence[Revision], files: Mapping[str | None, str]) -> list[Hazard]:
    """Returns hazards for what cannot be read, or may run differently."""
    return [*_unrendered(rendered, revisions, files), *_asking_for_mode(rendered, revisions, files)]


def _unrendered(rendered: Rendered, revisions: Sequence[Revision], files: Mapping[str | None, str]) -> Iterator[Hazard]:
    """Yields a hazard for each reason why SQL could not be rendered, such as an env.py without an offline mode."""
    name, alike = HazardName.UNKNOWN_SQL, dict[str, list[str]]()
    for revision in revisions:
        if revision.id not in rendered.sql:
            alike.setdefault(rendered.reason(revision.id), []).append(revision.id)
    for reason, (first, *others) in alike.items():
        more = f" and {len(others)} more" if others else ""
        said = f"SQL cannot be rendered: {reason}"
        yield Hazard(name, f"revision {first}{more}", said, name.safer, files.get(first, ""))


def _asking_for_mode(
    rendered: Rendered, revisions: Sequence[Revision], files: Mapping[str | None, str]
) -> Iterator[Hazard]:
    """Yields a hazard for each revision that may run other SQL than what was rendered."""
    name, said = HazardName.UNKNOWN_SQL, "it asks whether Alembic is offline, and may then do something else"
    for revision in revisions:
        if revision.id in rendered.sql and _ASKS_FOR_MODE.search(_source(revision.file)):
            yield Hazard(name, f"revision {revision.id}", said, name.safer, files.get(revision.id, ""))


def _drop(_: Event) -> None:
    """Drops events."""


def _source(file: Path | None) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace") if file is not None else ""
    except OSError:
        return ""


def findings(items: Iterable[Change | Deferred], context: RunContext) -> list[Finding]:
    """Returns findings about the statements of the changes, if they are shown."""
    changes = [(revision_of(item), item) for item in items if isinstance(item, Change)]
    statements = {name: item.after[SQL] or "" for name, item in changes if name and SQL in item.after}
    return review.findings(context, statements) if statements else []
