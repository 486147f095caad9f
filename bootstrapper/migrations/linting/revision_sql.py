"""Revisions with their statements, for a plan with SQL; other runs do not load this module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bootstrapper.migrations.linting.known import Known
from bootstrapper.migrations.linting.locks import annotate
from bootstrapper.migrations.linting.review import review
from bootstrapper.migrations.payloads import revision_of
from bootstrapper.migrations.project.layout import Layout
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.worker.offline_sql import Direction, Walk, render
from bootstrapper.plans import SQL, Change, Deferred, Finding
from bootstrapper.plugin.run_context import RunContext


def with_sql(
    items: Sequence[Change | Deferred],
    settings: MigrationSettings,
    layout: Layout,
    context: RunContext,
    walks: Sequence[Walk],
    *,
    direction: Direction = "upgrade",
) -> list[Change | Deferred]:
    """Returns the changes with their statements, each with a comment about its lock."""
    rendered = render(settings, layout, context, walks, direction)
    found: list[Change | Deferred] = []
    known = Known()
    for item in items:
        revision = revision_of(item)
        if revision is None or not isinstance(item, Change):
            found.append(item)
            continue
        found.append(replace(item, after={**item.after, SQL: annotate(rendered.text(revision), known)}))
    return found


def findings(
    items: Iterable[Change | Deferred], context: RunContext, *, transaction_per_revision: bool = True
) -> list[Finding]:
    """Returns findings about the statements of the changes."""
    changes = [(revision_of(item), item) for item in items if isinstance(item, Change)]
    statements = {name: item.after[SQL] or "" for name, item in changes if name and SQL in item.after}
    return review(context, statements, transaction_per_revision=transaction_per_revision)
