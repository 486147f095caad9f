"""Puts checks to the database: all probes in one pipeline, one by one only when one of them fails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import Connection, errors

from bootstrapper.errors import CheckFailedError
from bootstrapper.plan import Answer
from bootstrapper.step import Check, Probe

Answers = dict[int, Answer]
"""Answers by the identity of their check."""

_MISSING = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.UndefinedObject,
    errors.InvalidSchemaName,
)


def ask_probes(connection: Connection[Any], checks: Iterable[Check]) -> Answers:
    """Answers every check that has a probe; the others are left out.

    The connection is inside a transaction, and still is afterwards, whatever failed.

    Raises CheckFailedError where a probe's statement itself is wrong.
    """
    probes = [(check, probe) for check in checks if (probe := check.probe()) is not None]
    if not probes:
        return {}
    connection.execute("SAVEPOINT probes")
    try:
        with connection.pipeline():
            cursors = [connection.execute(_text(probe), probe.parameters or None) for _, probe in probes]
        return {id(check): check.answer(cursor.fetchall()) for (check, _), cursor in zip(probes, cursors, strict=True)}
    except psycopg.Error:
        if connection.closed:
            raise
        connection.execute("ROLLBACK TO SAVEPOINT probes")
        return {id(check): _ask_one(connection, check, probe) for check, probe in probes}


def _ask_one(connection: Connection[Any], check: Check, probe: Probe) -> Answer:
    connection.execute("SAVEPOINT probe")
    try:
        rows: Sequence[Sequence[Any]] = connection.execute(_text(probe), probe.parameters or None).fetchall()
        answer = check.answer(rows)
    except psycopg.Error as error:
        if connection.closed:
            raise
        connection.execute("ROLLBACK TO SAVEPOINT probe")
        return _answer_failure(check, probe, error)
    connection.execute("RELEASE SAVEPOINT probe")
    return answer


def _answer_failure(check: Check, probe: Probe, error: psycopg.Error) -> Answer:
    message = error.diag.message_primary or type(error).__name__
    if isinstance(error, _MISSING):
        return probe.missing or Answer.unknown(message)
    if isinstance(error, errors.InsufficientPrivilege):
        return Answer.unknown(message)
    raise CheckFailedError(check.key, message, sqlstate=error.sqlstate, source=check.source) from error


def _text(probe: Probe) -> Any:
    return probe.statement.encode() if isinstance(probe.statement, str) else probe.statement
