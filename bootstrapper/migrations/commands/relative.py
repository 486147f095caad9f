"""Targets relative to the current revision, such as +1; after each run they mean another state."""

from __future__ import annotations

import re
from typing import Any

from psycopg import Connection

from bootstrapper.deadline import Deadline
from bootstrapper.errors import UsageError
from bootstrapper.migrations.history.history import BrokenHistory
from bootstrapper.migrations.history.versions import read_versions
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import read_declared
from bootstrapper.plugin.project import Project

RELATIVE = re.compile(r"[+-][0-9]+")


def resolve_relative(
    connection: Connection[Any], settings: MigrationSettings, project: Project, deadline: Deadline, text: str
) -> str:
    """Returns the revision, or base, so many steps above or below; raises UsageError if it is ambiguous."""
    settings = settings.model_copy(update={"target": "heads"})
    history = read_declared(settings, project, deadline=deadline, report=lambda line: None).history
    rows, steps = read_versions(connection, settings).rows, int(text)
    try:
        if missing := history.unknown(rows):
            raise BrokenHistory(f"the project has no revision {missing[0]}")
        return history.above(rows, steps) if steps > 0 else history.below(rows, -steps) or "base"
    except BrokenHistory as error:
        raise UsageError(f"{text} from {', '.join(rows) or 'base'}: {error}") from error
