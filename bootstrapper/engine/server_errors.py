"""Makes errors of the server those of the step that it refused something."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from bootstrapper.deadline import GIVE_LONGER
from bootstrapper.engine.entry import Entry
from bootstrapper.errors import StepFailedError, UnreachableError
from bootstrapper.plugin.faults import is_ours, place_of
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.server_messages import said_without_values
from bootstrapper.postgres.connection.sqlstates import QUERY_CANCELED, READ_ONLY_SQL_TRANSACTION, SYNTAX_ERROR

_WRITES = "Only `apply` and `prepare` may write; `changes` and checks read."


@contextmanager
def explained(entry: Entry, context: RunContext) -> Iterator[None]:
    """Raises an error of the server as `explain` returns it."""
    with _raised_as(explain, entry, context):
        yield


@contextmanager
def judged(entry: Entry, context: RunContext) -> Iterator[None]:
    """Raises an error of what is at work as `judge` returns it."""
    with _raised_as(judge, entry, context):
        yield


@contextmanager
def _raised_as(
    what: Callable[[Entry, RunContext, BaseException], BaseException], entry: Entry, context: RunContext
) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        failure = what(entry, context, error)
        if failure is error:
            raise
        raise failure from error


@contextmanager
def in_time(entry: Entry, context: RunContext) -> Iterator[None]:
    """Within it a plugin's step looks; what it asks is cancelled at the end of the time that the file gives it.

    Raises StepFailedError if the time was exceeded, also by code that asks nothing, which nothing can cancel.
    """
    if entry.timeout_seconds is None or is_ours(type(entry.unit)):
        yield
        return
    timer = threading.Timer(max(0.0, context.deadline.seconds_left), context.connection.cancel_safe)
    timer.daemon = True
    timer.start()
    exceeded = _exceeded(entry)
    try:
        yield
    except psycopg.Error as error:
        if context.deadline.has_passed:
            raise exceeded from error
        raise
    finally:
        timer.cancel()
        timer.join()  # lest it cancels what comes next
    if context.deadline.has_passed:
        raise exceeded


def explain(entry: Entry, context: RunContext, error: BaseException) -> BaseException:
    """Returns an error of the server as StepFailedError or UnreachableError; any other error as it is."""
    server = error if isinstance(error, psycopg.Error) else getattr(error, "orig", None)  # SQLAlchemy wraps it
    if not isinstance(server, psycopg.Error):
        return error
    place = place_of(server)
    written = context.project.written
    if place is not None and server.sqlstate == SYNTAX_ERROR:
        written = f"{written}\n{place.words}"
    message = context.masker.quote(said_without_values(server, written))
    if context.session.is_open:
        return StepFailedError(
            f"step {entry.name!r}: {message}",
            sqlstate=server.sqlstate,
            source=entry.source,
            hint=_WRITES
            if place is not None and place.reads and server.sqlstate == READ_ONLY_SQL_TRANSACTION
            else None,
            details=[context.masker.quote(f"in {place.said}")] if place is not None else (),
        )
    return UnreachableError(context.project.target.where, f"the connection was lost: {message}")


def judge(entry: Entry, context: RunContext, error: BaseException) -> BaseException:
    """Returns an error of what is at work as one of the tool; an interruption by the deadline is reported as that."""
    failure = explain(entry, context, error)
    is_cut = isinstance(failure, UnreachableError) or getattr(failure, "sqlstate", None) == QUERY_CANCELED
    if is_cut and context.deadline.has_passed:
        return _exceeded(entry)
    return failure.at(entry.source) if isinstance(failure, StepFailedError) else failure


def _exceeded(entry: Entry) -> StepFailedError:
    return StepFailedError(f"step {entry.name!r} exceeded its deadline", hint=GIVE_LONGER, source=entry.source)
