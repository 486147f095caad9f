"""Tells which revisions the next run would apply to a restored database, and the freeze that keeps it from doing so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from bootstrapper.backups.restore.choose import Chosen
from bootstrapper.errors import BootstrapperError
from bootstrapper.migrations.history.versions import Versions
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import compare, read_declared
from bootstrapper.plugin.run_context import RunContext

_FOUND_IN_DUMPS = "alembic_version"
"""The version tables whose rows a manifest has."""
_MOST_NAMES = 5


def replayed(context: RunContext, chosen: Chosen) -> tuple[str, ...] | None:
    """Returns the revisions of the files that the backup does not have, in order.

    Empty if the file migrates nothing, or the backup is at or ahead of its revisions; None if they are unknown.
    """
    options = [unit.options for unit in context.project.steps.values()]
    settings = [each for each in options if isinstance(each, MigrationSettings)]
    rows = chosen.manifest.revision if chosen.manifest is not None else None
    if not settings:
        return ()
    if rows is None or any(each.version_table != _FOUND_IN_DUMPS for each in settings):
        return None
    with suppress(BootstrapperError):  # broken files do not keep a restore from being made
        return tuple(
            revision for each in settings for revision in _pending(each, context, rows, has_own_rows=len(settings) == 1)
        )
    return None


def _pending(
    settings: MigrationSettings, context: RunContext, rows: Sequence[str], *, has_own_rows: bool
) -> Iterator[str]:
    """Yields the pending revisions of one step; of the rows of several steps, each knows its own."""
    declared = read_declared(settings, context.project, deadline=context.deadline, report=context.report)
    unknown = () if has_own_rows else declared.history.unknown(rows)
    state = compare(declared, Versions(tuple(row for row in rows if row not in unknown)))
    yield from (revision.id for revision in state.pending)


def told(revisions: Sequence[str] | None) -> str:
    """Returns what the next run would do."""
    if revisions is None:
        return "the next `apply` may run revisions again, which are unknown"
    more = [f"and {len(revisions) - _MOST_NAMES} more"] if len(revisions) > _MOST_NAMES else []
    return f"the next `apply` would run {', '.join([*revisions[:_MOST_NAMES], *more])}"
