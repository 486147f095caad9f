"""The hint of a failed migration: whether it was rolled back, where the database is now, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from bootstrapper.errors import BootstrapperError, FencedOffError
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import State, look
from bootstrapper.migrations.worker.runner import WorkerRun
from bootstrapper.migrations.worker.worker_errors import RETRYABLE
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.sqlstates import is_loss

Observer = Callable[[BootstrapperError, RunContext, State], None]
"""Called with the error and the state after it; may warn of more, and complete the hint."""


@contextmanager
def explained(
    work: WorkerRun, run: RunContext, settings: MigrationSettings, before: State, observe: Observer | None = None
) -> Iterator[None]:
    """Completes the hint of an error of the work.

    Args:
        before: The state that the changes were made from.
    """
    try:
        yield
    except FencedOffError:
        raise
    except BootstrapperError as error:
        try:
            after = look(run.connection, before.declared, settings)
            if observe is not None:
                with suppress(psycopg.Error, BootstrapperError):
                    observe(error, run, after)
            is_partial = work.has_committed_a_part()
        except (psycopg.Error, BootstrapperError):  # the first error is the one to report
            text = "See `bootstrapper status` for the revision of the database."
        else:
            sentences = [*_sentences(work, before, after, error, is_partial=is_partial)]
            if is_partial or after.rows != before.rows:
                sentences += _restore_hint(run)
            text = " ".join(sentences)
        error.hint = f"{error.hint} {text}" if error.hint else text
        raise


def _is_passing(error: BootstrapperError) -> bool:
    sqlstate = getattr(error, "sqlstate", None)
    return sqlstate in RETRYABLE or is_loss(sqlstate, error.headline)


def _sentences(
    work: WorkerRun, before: State, after: State, error: BootstrapperError, *, is_partial: bool
) -> Iterator[str]:
    at = f"the database is at {', '.join(after.rows)}" if after.rows else "the database is at no revision"
    stands = f"{at} as before" if after.rows == before.rows else f"earlier revisions stay applied: {at}"
    revision = work.progress.revision
    subject = f"The downgrade of {revision}" if work.command == "downgrade" else f"Revision {revision}"
    if revision is None:
        yield f"No revision is half applied; {stands}."
    elif is_partial:
        yield f"{subject} failed after a part of it was committed; {stands}."
    else:
        yield f"{subject} was rolled back; {stands}."
    if is_partial:
        yield "Check what it did before you apply again."
    else:
        yield "Apply again." if _is_passing(error) else "Correct the cause and apply again."


def _restore_hint(run: RunContext) -> Iterator[str]:
    """Only if this run committed something: restoring also discards what others wrote since."""
    from bootstrapper.backups.restore.restore_command import restore_hint  # noqa: PLC0415 - only a failed run needs it

    command = restore_hint(run)
    if command is not None:
        yield f"To discard what this run did, and everything written since its backup: `{command}`."
