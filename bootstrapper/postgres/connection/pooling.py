"""Finds out that a pooler takes no transactions, which it says of the first one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress

import psycopg

from bootstrapper.deadline import Deadline
from bootstrapper.errors import RefusedError, UnreachableError
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.cutoff import cut_off
from bootstrapper.postgres.connection.session_texts import BEGIN_LOOK
from bootstrapper.postgres.connection.target import Target

_TRIAL_SECONDS = 3.0
_STATEMENT_POOLING = "statement pooling"  # PgBouncer's words, which are in English everywhere
_HINT = "Set its pool_mode to transaction, or give the server's own address as direct_url."


def with_room(look: Sequence[bytes], tables: bytes) -> Sequence[bytes]:
    """Returns what begins a look, and makes temporary tables before it becomes READ ONLY: then they can be filled."""
    return (b"BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE", *look[1:], tables, b"SET TRANSACTION READ ONLY")


def require_transactions(error: psycopg.Error, where: str) -> None:
    """Raises RefusedError if the error is that of a pooler that takes no transactions."""
    if _STATEMENT_POOLING in str(error):
        reason = "its pooler is in statement mode, which does not support transactions"
        raise RefusedError(where, reason, hint=_HINT) from error


def try_transaction(target: Target, deadline: Deadline, application_name: str) -> None:
    """Begins a transaction by itself, after a pooler cut off the first one, which came with questions.

    Raises RefusedError if the pooler takes none: in a pipeline libpq loses what it says.
    """
    deadline = deadline.sooner(_TRIAL_SECONDS)  # a pooler whose server is gone never answers
    with suppress(UnreachableError):
        connection = connect(target, deadline=deadline, application_name=application_name)
        with closing(connection), cut_off(connection, deadline):
            try:
                connection.execute(BEGIN_LOOK)
            except psycopg.Error as error:
                require_transactions(error, target.where)
