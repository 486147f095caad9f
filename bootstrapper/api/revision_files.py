"""The hazards of revisions in files, without a database, for `validate` and the pre-commit hook."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from bootstrapper.engine.open import Resolved, bare_context
from bootstrapper.engine.request import Request
from bootstrapper.errors import UsageError
from bootstrapper.migrations.linting.revision_sql import hazards_of_files
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plans import Hazard


def hazards(request: Request, resolved: Resolved, files: Collection[Path]) -> tuple[Hazard, ...]:
    """Returns the hazards of the revisions in the files; `allowed` says whether the file or the request allows each.

    Raises UsageError for a file that is not a revision of a step, and InvalidFileError if the history is broken.
    """
    found: list[Hazard] = []
    left = dict.fromkeys(files)
    for entry in resolved.entries:
        settings = getattr(entry.unit, "options", None)
        if not isinstance(settings, MigrationSettings) or not left:
            continue
        context = replace(bare_context(request, resolved.project), step=entry.name)
        known, named = hazards_of_files(settings, context, entry.source, left)
        allowed = {*request.allow, *entry.allowed}
        found += [replace(each, allowed=each.name in allowed if each.name.needs_allowance else None) for each in named]
        left = {path: None for path in left if path not in known}
    if left:
        raise UsageError(
            f"not a revision of a step `migrate`: {', '.join(map(str, left))}",
            hint="Name files in the folder of its revisions, or choose another configuration with --file.",
        )
    return tuple(found)
