"""Asks checks: all probes in one pipeline, one by one only if one of them fails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, Cursor, errors

from bootstrapper.config.run_cache import Kept
from bootstrapper.errors import CheckFailedError
from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check, Probe
from bootstrapper.plugin.conditions import Condition
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection import settings
from bootstrapper.postgres.connection.pipelining import round_trip
from bootstrapper.postgres.connection.server_messages import said_without_values

Answers = dict[int, Answer | CheckFailedError]
"""Answers by the identity of their check. A failed check is an error only if its answer is needed."""

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
    """
    probes = [(check, probe) for check in checks if (probe := check.probe()) is not None]
    if not probes:
        return {}
    connection.execute("SAVEPOINT probes")
    try:
        cursors = _send(connection, [probe for _, probe in probes])
        return {id(check): _read(check, cursor.fetchall()) for (check, _), cursor in zip(probes, cursors, strict=True)}
    except psycopg.Error:
        if connection.closed:
            raise
        connection.execute("ROLLBACK TO SAVEPOINT probes")
        return {id(check): _ask_one(connection, check, probe) for check, probe in probes}


def _send(connection: Connection[Any], probes: Sequence[Probe]) -> list[Cursor[Any]]:
    """Sends all probes in one round trip; raises the first error once the pipeline is in order again."""
    cursors, is_lent = [], False
    with round_trip(connection):
        for probe in probes:
            if probe.borrows_session != is_lent:
                is_lent = probe.borrows_session
                connection.execute(settings.LEND if is_lent else settings.TAKE_BACK)
            cursors.append(connection.execute(_text(probe), probe.parameters or None))
        if is_lent:
            connection.execute(settings.TAKE_BACK)
    return cursors


def ask(check: Check, context: RunContext) -> Answer | CheckFailedError:
    """Asks a check that has no probe. Where the server said no, the transaction is aborted afterwards."""
    try:
        with settings.lent(context.connection) if check.borrows_session else nullcontext():
            return check.ask(Context(context))
    except CheckFailedError as error:
        return error
    except psycopg.Error as error:
        if not context.session.is_open:
            raise
        return _answer_failure(check, Probe(""), error)


def decided(answer: Answer | CheckFailedError) -> Answer:
    """Returns the answer; raises the error of a check that failed."""
    if isinstance(answer, CheckFailedError):
        raise answer
    return answer


def ask_condition(condition: Condition, context: RunContext, *, is_after: bool = False) -> Answer:
    """Asks a condition in a transaction that has to live on, whatever is wrong with a question.

    Args:
        is_after: Whether its step was just applied: a check that is not asked afterwards counts as yes then.
    """
    asked = [check for check in condition.checks() if check.asked_after or not is_after]
    answers = ask_probes(context.connection, asked)

    def answer(check: Check) -> Answer:
        if check not in asked:
            return Answer.yes()
        return decided(answers[id(check)] if id(check) in answers else _ask_in_savepoint(check, context))

    return condition.evaluate(answer)


def _ask_in_savepoint(check: Check, context: RunContext) -> Answer | CheckFailedError:
    context.connection.execute("SAVEPOINT question")
    answer = ask(check, context)
    context.connection.execute("ROLLBACK TO SAVEPOINT question")
    return answer


_FIXTURE_ANSWERS = Kept[str, Answer]()
"""The answer to the `when` of each fixture, by the fixture's name."""


@dataclass(frozen=True)
class FixtureCondition:
    """The `when` of a fixture, asked once a turn: the step's own changes do not affect it."""

    fixture: str
    condition: Condition

    def __call__(self, context: RunContext) -> Answer:
        known = context.turn.of(_FIXTURE_ANSWERS)
        if self.fixture not in known:
            known[self.fixture] = ask_condition(self.condition, context)
        return known[self.fixture]


def _ask_one(connection: Connection[Any], check: Check, probe: Probe) -> Answer | CheckFailedError:
    connection.execute("SAVEPOINT probe")
    try:
        with settings.lent(connection) if probe.borrows_session else nullcontext():
            rows: Sequence[Sequence[Any]] = connection.execute(_text(probe), probe.parameters or None).fetchall()
        answer = _read(check, rows)
    except psycopg.Error as error:
        if connection.closed:
            raise
        connection.execute("ROLLBACK TO SAVEPOINT probe")
        return _answer_failure(check, probe, error)
    connection.execute("RELEASE SAVEPOINT probe")
    return answer


def _read(check: Check, rows: Sequence[Sequence[Any]]) -> Answer | CheckFailedError:
    try:
        return check.answer(rows)
    except CheckFailedError as error:
        return error


def _answer_failure(check: Check, probe: Probe, error: psycopg.Error) -> Answer | CheckFailedError:
    message = said_without_values(error, check.project.written)
    if isinstance(error, _MISSING):
        return probe.missing or Answer.unknown(message)
    if isinstance(error, errors.InsufficientPrivilege):
        return Answer.unknown(message)
    failed = CheckFailedError(check.key, message, sqlstate=error.sqlstate, source=check.source)
    failed.__cause__ = error
    return failed


def _text(probe: Probe) -> Any:
    return probe.statement.encode() if isinstance(probe.statement, str) else probe.statement
