"""The SQL of revisions, as Alembic's offline mode gives it; the worker that is asked connects to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bootstrapper.errors import MigrationError
from bootstrapper.migrations.project.layout import Layout
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.worker.launch import conversation, start
from bootstrapper.migrations.worker.process import Reported
from bootstrapper.migrations.worker.request import render_request
from bootstrapper.plugin.run_context import RunContext

Direction = Literal["upgrade", "downgrade"]
Walk = tuple[Sequence[str], str]
"""The version rows that a database has, and the target to bring it to from there."""


@dataclass
class Rendered:
    """What could be rendered.

    Attributes:
        sql: By revision, in the order in which they would run; empty text where a revision does nothing.
        reasons: By revision, why there is none.
        whole: Why the rest is missing, where env.py itself failed.
    """

    sql: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    whole: str = ""

    def text(self, revision: str) -> str:
        """The SQL, or a comment that says why there is none."""
        if revision in self.sql:
            return self.sql[revision] or "-- nothing"
        reason = self.reasons.get(revision) or self.whole or "env.py did not run it"
        return f"-- can not be rendered: {' '.join(reason.split())}"


def render(
    settings: MigrationSettings,
    layout: Layout,
    context: RunContext,
    walks: Sequence[Walk],
    direction: Direction = "upgrade",
) -> Rendered:
    """Never raises for what the project does; the deadline of the context holds."""
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
                    case Reported("unrendered", facts):
                        rendered.reasons[facts["revision"]] = context.masker.quote(facts["reason"])
                    case Reported("failed", facts):
                        rendered.whole = context.masker.quote(facts["reason"])
    except (MigrationError, TimeoutError) as error:
        rendered.whole = context.masker.mask(str(error)) or "Alembic did not render it in time"
    return rendered
