"""Hazards, locks and findings of SQL that is about to run, by the own table of locks and by Squawk."""

from __future__ import annotations

import os.path
from collections.abc import Mapping, Sequence
from dataclasses import replace

from psycopg import errors

from bootstrapper.errors import Source
from bootstrapper.migrations.linting import squawk
from bootstrapper.migrations.linting.contents import holds_rows
from bootstrapper.migrations.linting.lint import Script, lint, located
from bootstrapper.plans import Finding, Hazard, TableLock
from bootstrapper.plugin.judgement import HELD_ROWS, LOCKED
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.statements import line_and_column, split
from bootstrapper.postgres.lock.blockers import read_exclusive_holders
from bootstrapper.text import listed


def has_much_to_lose(context: RunContext) -> bool:
    """Returns whether the database held rows when the run first asked: else no change of the run is a hazard.

    What the run itself writes later does not count. Where another session has locked a table, it holds rows.
    """
    kept = context.project.cache.of(HELD_ROWS)
    if None not in kept:
        try:
            with context.connection.transaction(force_rollback=True):
                context.connection.execute("SET LOCAL lock_timeout = '2s'")
                kept[None] = holds_rows(context.connection, context.project)
        except errors.LockNotAvailable:
            return True
    return kept[None]


def hazards(
    context: RunContext, scripts: Sequence[Script], *, transaction_per_script: bool = True
) -> list[Hazard | TableLock]:
    """Returns the hazards and locks of the statements. Only reads.

    Reading the size of a table waits for a session with an exclusive lock. Before the run has its own lock, it does not
    wait for long: then nothing is returned, the finding is kept, and all is judged again under the lock.
    """
    connection = context.connection
    if context.hold is not None:
        return lint(connection, scripts, transaction_per_script=transaction_per_script)
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL lock_timeout = '2s'")
            return lint(connection, scripts, transaction_per_script=transaction_per_script)
    except errors.LockNotAvailable:
        blockers = read_exclusive_holders(connection, located(connection, scripts))
        by = listed([str(replace(each, statement=None)) for each in blockers] or ["another session"])
        said = f"locked by {by}: locks and sizes could not be checked"
        context.project.cache.of(LOCKED)[context.step] = Finding(listed([each.target for each in scripts]), said)
        return []


def hazards_of_text(
    context: RunContext, target: str, text: str, source: Source | None, *, is_file: bool
) -> list[Hazard | TableLock]:
    """Returns the hazards and locks of a text of statements; none in a database without rows.

    Args:
        source: Where the text is; a text that is not a whole file is in the configuration.
        is_file: Whether the text is the whole of that file, so that each statement has its own line.
    """
    if not has_much_to_lose(context):
        return []
    first = source.line if source is not None else None
    lines = [line_and_column(text, each.start)[0] if is_file else first for each in split(text)]
    file = source.file if source is not None else ""
    if file and not is_file:
        file = os.path.relpath(file, context.project.directory)
    return hazards(context, [Script(target, text, file, lines)])


def findings(context: RunContext, sql_by_revision: Mapping[str, str]) -> list[Finding]:
    """Returns what Squawk says of the statements, if it is installed."""
    major = context.session.server.major
    return squawk.lint(sql_by_revision, server_major=major, folder=context.project.directory)
