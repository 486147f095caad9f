"""Says of a failed migration what it left behind, where the database stands, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from bootstrapper.errors import BootstrapperError, FencedOffError
from bootstrapper.migrations.history.versions import read_versions
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.worker.failures import WORTH_ANOTHER_TRY
from bootstrapper.migrations.worker.runner import Operation
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.sqlstates import is_loss


@contextmanager
def told(
    operation: Operation, context: RunContext, settings: MigrationSettings, before: Sequence[str]
) -> Iterator[None]:
    """Around the operation; completes the hint of its error.

    Args:
        before: The version rows that the database had.
    """
    try:
        yield
    except FencedOffError:
        raise
    except BootstrapperError as error:
        said = " ".join(_sentences(operation, context, settings, before, is_passing=_is_passing(error)))
        error.hint = f"{error.hint} {said}" if error.hint else said
        raise


def _is_passing(error: BootstrapperError) -> bool:
    return error.sqlstate in WORTH_ANOTHER_TRY or is_loss(error.sqlstate, error.headline)


def _sentences(
    operation: Operation, context: RunContext, settings: MigrationSettings, before: Sequence[str], *, is_passing: bool
) -> Iterator[str]:
    try:
        after = read_versions(context.connection, settings).rows
        is_partial = operation.has_committed_a_part()
    except (psycopg.Error, BootstrapperError):
        yield "`bootstrapper status` shows where the database stands."
        return
    yield _stand(operation, before, after, is_partial=is_partial)
    if is_partial:
        yield "Look at what it did before you apply again."
    else:
        yield "Apply again." if is_passing else "Correct the cause and apply again."
    if is_partial or tuple(after) != tuple(before):
        yield from _way_back(context)


def _stand(operation: Operation, before: Sequence[str], after: Sequence[str], *, is_partial: bool) -> str:
    at = f"the database is at {', '.join(after)}" if after else "the database is at no revision"
    stands = f"{at} as before" if tuple(after) == tuple(before) else f"what was done before it stays: {at}"
    revision = operation.progress.revision
    if revision is None:
        return f"No revision was left half done; {stands}."
    subject = f"The downgrade of {revision}" if operation.command == "downgrade" else f"Revision {revision}"
    if is_partial:
        return f"{subject} failed after a part of it was committed; {stands}."
    return f"{subject} was rolled back; {stands}."


def _way_back(context: RunContext) -> Iterator[str]:
    """Where this run committed something: nothing else needs one, and it takes away what others wrote since."""
    from bootstrapper.backups.restore.restore_command import way_back  # noqa: PLC0415 - only a failed run needs it

    command = way_back(context)
    if command is not None:
        yield f"To give up what this run did, and all that was written since its backup: `{command}`."
