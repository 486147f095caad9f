"""Findings about SQL that is about to run, by the own table of locks and by Squawk."""

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
    """Returns findings about the statements. Only reads."""
    if not sql_by_revision:
        return []
    major = context.session.server.major
    return [
        *_locks(context, sql_by_revision, transaction_per_revision=transaction_per_revision),
        *squawk.lint(sql_by_revision, server_major=major, folder=context.project.directory),
    ]


def _locks(context: RunContext, sql_by_revision: Mapping[str, str], *, transaction_per_revision: bool) -> list[Finding]:
    """Reading the size of a table waits for a session with an exclusive lock; a plan must not wait."""
    connection = context.connection
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL lock_timeout = '2s'")
            return lint(connection, sql_by_revision, transaction_per_revision=transaction_per_revision)
    except errors.LockNotAvailable:
        return [Finding("tables", "are locked by another session, so that locks and sizes could not be checked")]
