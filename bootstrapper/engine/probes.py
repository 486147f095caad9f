"""Asks checks: all probes in one pipeline, one by one only if one of them fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import cache, partial
from typing import Any

import psycopg
from psycopg import Connection, Cursor, errors
from psycopg.pq import TransactionStatus

from bootstrapper.config.run_cache import Kept
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import CheckFailedError
from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check, Probe
from bootstrapper.plugin.conditions import Condition
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.purity import note_impure
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection import settings
from bootstrapper.postgres.connection.interjection import status_of
from bootstrapper.postgres.connection.pipelining import round_trip
from bootstrapper.postgres.connection.server_messages import said_without_values

Decision = Callable[[], Answer]
"""Gives the answer, from what the server said already; raises CheckFailedError where the check failed."""
Answers = dict[int, Decision]
"""Decisions by the identity of their check. What is wrong with a check is an error only if its answer is needed."""

_MISSING = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.UndefinedObject,
    errors.InvalidSchemaName,
)


Asked = tuple[Check, Probe]


def with_probes(checks: Iterable[Check]) -> list[Asked]:
    """Returns the checks that have a probe, with it."""
    return [(check, probe) for check in checks if (probe := check.probe()) is not None]


def ask_probes(connection: Connection[Any], asked: Iterable[Asked]) -> Answers:
    """Answers the checks; one round trip if no probe fails.

    The connection is inside a transaction, and still is afterwards, whatever failed.
    """
    probes = _in_order(asked)
    if not probes:
        return {}
    try:
        return _ask_all(connection, probes, before=[b"SAVEPOINT probes"], after=[])
    except psycopg.Error:
        if connection.closed:
            raise
        _require_transaction(connection, probes)
        connection.execute("ROLLBACK TO SAVEPOINT probes")
        return _ask_one_by_one(connection, probes)


def begin_with_probes(
    connection: Connection[Any], begin: Sequence[bytes], asked: Iterable[Asked], *, lends: bool = False
) -> Answers:
    """Begins a transaction and answers the checks in it as `ask_probes` does; one round trip if no probe fails.

    Args:
        begin: The statements that begin it.
        lends: Whether the session is lent afterwards, for what the project's own statements ask next.
    """
    probes, after = _in_order(asked), [settings.LEND] if lends else []
    try:
        return _ask_all(connection, probes, before=begin, after=after)
    except psycopg.Error:
        if connection.closed:
            raise
    connection.execute(b"; ".join([b"ROLLBACK", *begin]))
    answers = _ask_one_by_one(connection, probes)
    if lends:
        connection.execute(settings.LEND)
    return answers


def _in_order(asked: Iterable[Asked]) -> list[Asked]:
    """Returns those last that borrow the session, so that it is lent at most once."""
    return sorted(asked, key=lambda each: each[1].borrows_session)


def _ask_all(
    connection: Connection[Any], probes: Sequence[Asked], *, before: Sequence[bytes], after: Sequence[bytes]
) -> Answers:
    """Asks in one round trip; raises the first error once the pipeline is in order again."""
    cursors: list[Cursor[Any]] = []
    is_lent = False
    with round_trip(connection):
        for statement in before:
            connection.execute(statement)
        for _, probe in probes:
            if probe.borrows_session and not is_lent:
                connection.execute(settings.LEND)
                is_lent = True
            cursors.append(connection.execute(_text(probe), probe.parameters or None))
        for statement in after or ([settings.TAKE_BACK] if is_lent else []):
            connection.execute(statement)
    _require_transaction(connection, [each for each, cursor in zip(probes, cursors, strict=True) if _ends(cursor)])
    return {id(check): _decision(check, cursor.fetchall()) for (check, _), cursor in zip(probes, cursors, strict=True)}


def _ask_one_by_one(connection: Connection[Any], probes: Sequence[Asked]) -> Answers:
    return {id(check): _ask_one(connection, check, probe) for check, probe in probes}


def ask(check: Check, context: RunContext) -> Decision:
    """Asks a check that has no probe; the session is lent where the check borrows it.

    Where the server said no, the transaction is aborted afterwards.
    """
    try:
        return partial(decided, check.ask(Context(context)))
    except CheckFailedError as error:
        return partial(decided, error)
    except psycopg.Error as error:
        if not context.session.is_open:
            raise
        return partial(decided, _answer_failure(check, Probe(""), error))


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
    answers = ask_probes(context.connection, with_probes(asked))

    def answer(check: Check) -> Answer:
        note_impure(context.project.cache, check, f"check {check.key} of step {context.step}")
        if check not in asked:
            return Answer.yes()
        return answers[id(check)]() if id(check) in answers else _ask_in_savepoint(check, context)

    return condition.evaluate(answer)


def _ask_in_savepoint(check: Check, context: RunContext) -> Answer:
    context.connection.execute("SAVEPOINT question")
    with settings.lent(context.connection) if check.borrows_session else nullcontext():
        decide = ask(check, context)
    context.connection.execute("ROLLBACK TO SAVEPOINT question")
    return decide()


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


def _ask_one(connection: Connection[Any], check: Check, probe: Probe) -> Decision:
    connection.execute("SAVEPOINT probe")
    try:
        with settings.lent(connection) if probe.borrows_session else nullcontext():
            with round_trip(connection):  # in a pipeline the server refuses several statements at once
                cursor = connection.execute(_text(probe), probe.parameters or None)
            rows: Sequence[Sequence[Any]] = cursor.fetchall()
    except psycopg.Error as error:
        if connection.closed:
            raise
        _require_transaction(connection, [(check, probe)])
        connection.execute("ROLLBACK TO SAVEPOINT probe")
        return partial(decided, _answer_failure(check, probe, error))
    connection.execute("RELEASE SAVEPOINT probe")
    return _decision(check, rows)


def _ends(cursor: Cursor[Any]) -> bool:
    return cursor.statusmessage in ("COMMIT", "ROLLBACK")


def _require_transaction(connection: Connection[Any], asked: Sequence[Asked]) -> None:
    """Raises CheckFailedError if one of these probes ended the transaction: what comes next could write."""
    if status_of(connection) == TransactionStatus.IDLE:
        keys = ", ".join(dict.fromkeys(check.key for check, _ in asked))
        raise CheckFailedError(keys, "its probe ended the transaction", source=asked[0][0].source if asked else None)


def _decision(check: Check, rows: Sequence[Sequence[Any]]) -> Decision:
    return cache(partial(check.answer, rows))


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
