"""The SQL of revisions, from Alembic's offline mode; the worker does not connect to the database."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bootstrapper.errors import MigrationError
from bootstrapper.migrations.project.layout import DynamicProject, Layout
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.worker.launch import conversation, start
from bootstrapper.migrations.worker.process import Reported
from bootstrapper.migrations.worker.request import render_request
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.statements import split

Direction = Literal["upgrade", "downgrade"]
Walk = tuple[Sequence[str], str]
"""Version rows, and the target to reach from there."""


@dataclass
class Rendered:
    """The SQL that could be rendered.

    Attributes:
        sql: By revision, in the order in which they would run; empty text where a revision does nothing.
        lines: By revision, the line of its file that each statement comes from; nothing if that is unknown.
        reasons: By revision, why its SQL is missing.
        whole: Why all others are missing, if env.py itself failed.
        broken: What is wrong with the code of revisions, and would be with a database as well: by revision; with an
            empty name for a file that cannot be loaded.
    """

    sql: dict[str, str] = field(default_factory=dict)
    lines: dict[str, list[int | None]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    whole: str = ""
    broken: dict[str, str] = field(default_factory=dict)

    def text(self, revision: str) -> str:
        """Returns the SQL, or a comment that says why it is missing."""
        if revision in self.sql:
            return self.sql[revision] or "-- nothing"
        return f"-- cannot be rendered: {self.reason(revision)}"

    def reason(self, revision: str) -> str:
        """Returns why the SQL of a revision is missing, in one line."""
        reason = self.reasons.get(revision) or self.whole or "env.py did not run the revision"
        return " ".join(reason.split())


def render(
    settings: MigrationSettings,
    layout: Layout,
    context: RunContext,
    walks: Sequence[Walk],
    direction: Direction = "upgrade",
) -> Rendered:
    """Renders the SQL; never raises for errors of the project. The deadline of the context applies."""
    asked = render_request(settings, layout, context.project.target, walks, direction)
    rendered = Rendered()
    try:
        with start(settings, context.project, asked) as worker:
            for message in conversation(worker, context.deadline.sooner(settings.timeout)):
                match message:
                    case str():
                        context.report(message)
                    case Reported("rendered", facts):
                        rendered.sql[facts["revision"]] = context.masker.quote(facts["sql"].strip())
                        rendered.lines[facts["revision"]] = _lines(facts["sql"], facts["lines"])
                    case Reported("unrendered", facts):
                        rendered.reasons[facts["revision"]] = context.masker.quote(facts["reason"])
                        if facts["broken"]:
                            rendered.broken[facts["revision"]] = rendered.reason(facts["revision"])
                    case Reported("failed", facts):
                        rendered.whole = context.masker.quote(facts["reason"])
                        if _is_of_revision(layout, facts.get("broken") or ()):
                            rendered.broken[""] = rendered.reason("")
    except (MigrationError, TimeoutError) as error:
        rendered.whole = context.masker.mask(str(error)) or "deadline exceeded while Alembic rendered it"
    return rendered


def _is_of_revision(layout: Layout, files: Sequence[str]) -> bool:
    """Returns whether one of these files is a revision, and not env.py or what that imports."""
    try:
        folders = [folder.resolve() for folder in layout.version_folders]
    except DynamicProject:
        return False
    return any(folder in Path(file).resolve().parents for file in files for folder in folders)


def _lines(text: str, marks: Sequence[tuple[int, int]]) -> list[int | None]:
    """Returns the line of each statement.

    Args:
        marks: Positions in the text, ascending, each with the line that wrote what follows.
    """
    positions = [position for position, _ in marks]
    writers = [bisect_right(positions, statement.start) - 1 for statement in split(text)]
    return [marks[writer][1] if writer >= 0 else None for writer in writers]
