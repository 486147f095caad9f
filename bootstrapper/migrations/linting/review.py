"""What a reviewer should know of SQL that is about to run, by our own table of locks and by Squawk."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import errors

from bootstrapper.migrations.linting import squawk
from bootstrapper.migrations.linting.lint import lint
from bootstrapper.plans import Finding
from bootstrapper.plugin.run_context import RunContext


def review(
    context: RunContext, sql_by_revision: Mapping[str, str], *, transaction_per_revision: bool = True
) -> list[Finding]:
    """Findings on the statements; none where there are no statements. Only reads."""
    if not sql_by_revision:
        return []
    major = context.session.server.major
    return [
        *_locks(context, sql_by_revision, transaction_per_revision=transaction_per_revision),
        *squawk.lint(sql_by_revision, server_major=major, folder=context.project.directory),
    ]


def _locks(context: RunContext, sql_by_revision: Mapping[str, str], *, transaction_per_revision: bool) -> list[Finding]:
    """Asking for a table's size waits for whoever has it all to itself; a plan does not."""
    connection = context.connection
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL lock_timeout = '2s'")
            return lint(connection, sql_by_revision, transaction_per_revision=transaction_per_revision)
    except errors.LockNotAvailable:
        return [Finding("tables", "are locked just now, so nothing is said of their sizes and of what waits for them")]
