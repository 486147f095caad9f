"""sql: runs SQL statements, written in place or in a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

import psycopg
from psycopg import Connection, pq
from pydantic import ConfigDict, WithJsonSchema, model_validator

from bootstrapper.config.files import require_regular
from bootstrapper.config.schema_parts import one_of
from bootstrapper.deadline import Deadline
from bootstrapper.errors import InvalidFileError, Problem, Source, StepFailedError
from bootstrapper.plans import Action, Bounds, Change, Deferred, Hazard, TableLock, payload_of
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.inspect import written
from bootstrapper.plugin.options import StepModel
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Bounded, Hazardous
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.cutoff import cut_off
from bootstrapper.postgres.connection.interjection import status_of
from bootstrapper.postgres.connection.server_messages import said_without_values
from bootstrapper.postgres.connection.statements import Statement, line_and_column, split

_SHOWN = 70
_STAYS = "The statements before it are committed and stay."
_LATE = "it did not finish in time and was cancelled"
_CANCEL_SECONDS = 5.0
_CUT_SECONDS = 2.0  # after the cancel: its answer says more than a connection that is closed


class SqlOptions(StepModel):
    """The `with:` block of a sql step: either a statement or a file.

    Attributes:
        statement: One or more statements; variables such as ${NAME} are replaced.
        file: A UTF-8 file, relative to the file that names it; taken as it is.
        transaction: False sends the statements one by one outside a transaction, for those that cannot run in one.
    """

    model_config = ConfigDict(json_schema_extra=one_of("statement", "file"))

    statement: Annotated[str, WithJsonSchema({"type": "string", "pattern": r"\S"})] | None = None
    file: str | None = None
    transaction: bool = True

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.statement is None) == (self.file is None):
            raise ValueError("needs either statement or file")
        if self.statement is not None:
            problem = _first_problem(self.statement)
            if problem is not None:
                raise ValueError(problem[0])
        return self


class Sql(Step[SqlOptions], Bounded, Hazardous):
    """Sends the text in the step's transaction, which the text itself cannot leave.

    The text runs with the settings of the project's own sessions. What it changes in its session ends with the step:
    `SET`, `SET ROLE`, temporary tables.
    """

    uses = "sql"
    pure = True
    needs_check = True

    def __init__(self, name: str, options: SqlOptions, source: Source | None = None) -> None:
        super().__init__(name, options, source)
        self.transactional = options.transaction
        self.borrows_session = options.transaction

    def inputs(self, project: Project) -> Sequence[Path]:
        return [project.path(self.options.file)] if self.options.file is not None else []

    def problems(self, project: Project) -> Sequence[Problem]:
        try:
            self._text(project)
        except InvalidFileError as error:
            return error.problems
        return ()

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        run = run_of(context)
        text = self._text(run.project)
        statements = split(text)
        if self.options.file is not None:
            count = f"{len(statements)} statement{'' if len(statements) == 1 else 's'}"
            return [Change.run(f"{self.options.file} ({count})", payload=text)]
        return [Change.run(_headline(self._shown(run), len(statements) - 1), payload=text)]

    def _shown(self, context: RunContext) -> str:
        """Returns the statement with its variables unresolved: the values may be secrets."""
        return written(context.declaration.written.get("statement", self.options.statement), context)

    def bounds(self, context: Context, changes: Sequence[Change | Deferred]) -> Bounds | None:
        return None if changes else Bounds(frozenset({Action.RUN}), 1)

    def hazards(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Hazard | TableLock]:
        from bootstrapper.migrations.linting import review  # noqa: PLC0415 - the linter stays off the fast path

        run, text = run_of(context), self._text(run_of(context).project)
        place = Source(self.options.file, 1, 1) if self.options.file is not None else self.source
        found = review.hazards_of_text(run, f"step {self.name}", text, place, is_file=self.options.file is not None)
        is_shown = self.options.file is not None or self._shown(run) == text
        if is_shown:
            return found
        return [replace(each, message=each.name.meaning) for each in found if isinstance(each, Hazard)]

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        run = run_of(context)
        for text in [payload_of(item, str) for item in changes if isinstance(item, Change)]:
            if self.transactional:
                self._execute_within_transaction(run, text)
            else:
                self._execute_one_by_one(run, text)

    def _execute_within_transaction(self, context: RunContext, text: str) -> None:
        connection = context.connection
        before = _transaction(connection)
        with _notices(context, connection), _cancelled_at(connection, context.deadline):
            self._execute(context, connection, Statement(text, 0, ()), text)
        if _transaction(connection) != before:
            raise StepFailedError(f"{self._place} left the step's transaction", source=self.source)

    def _execute_one_by_one(self, context: RunContext, text: str) -> None:
        """Executes each statement on a separate connection: the run's own one keeps the lease of the lock alive."""
        target = context.session.target
        name = context.application_name
        until = context.deadline
        with (
            closing(connect(target, deadline=until, application_name=name)) as connection,
            cut_off(connection, until.later(_CUT_SECONDS)),
        ):
            if context.hold is not None:
                context.hold.announce(connection)
            if connection.info.parameter_status("standard_conforming_strings") == "off":
                connection.execute("SET standard_conforming_strings = on")  # as `split` reads the text
            with _notices(context, connection), _cancelled_at(connection, context.deadline):
                for statement in split(text):
                    self._require_time(until, is_first=not statement.start)
                    self._execute(context, connection, statement, text)

    def _require_time(self, deadline: Deadline, *, is_first: bool) -> None:
        """Raises StepFailedError at the deadline, or if the run is to stop: a cancel between statements hits none."""
        if deadline.has_passed:
            stays = None if is_first else _STAYS
            raise StepFailedError(f"{self._place}: {_LATE}", hint=stays, source=self.source)

    def _execute(self, context: RunContext, connection: Connection[Any], statement: Statement, whole: str) -> None:
        """Sends the text as it is; errors name their position in the whole text."""
        try:
            connection.execute(statement.text.encode())
        except psycopg.Error as error:
            context.require_not_fenced_off()
            if connection.closed:
                raise
            raise self._failure(context, whole, statement.start, error) from error

    def _failure(self, context: RunContext, whole: str, start: int, error: psycopg.Error) -> StepFailedError:
        message = self._said(context, error, whole)
        if error.sqlstate == "57014" and context.deadline.has_passed:
            message = _LATE
        source, where = self.source, ""
        if error.diag.statement_position:
            line, column = line_and_column(whole, start + int(error.diag.statement_position) - 1)
            if self.options.file is not None:
                source = Source(self.options.file, line, column)
            else:
                where = f", line {line}, column {column}"
        reason = f"{self._place}{where}: {message}"
        said = context.masker.quote(error.diag.message_hint) if error.diag.message_hint else ""
        stays = _STAYS if start and not self.transactional else ""
        return StepFailedError(
            reason, sqlstate=error.sqlstate, hint=" ".join(filter(None, (said, stays))) or None, source=source
        )

    def _said(self, context: RunContext, error: psycopg.Error, whole: str) -> str:
        """Returns the message of the server, without secrets that it may quote from the statement."""
        if self.options.file is not None:
            return context.masker.quote(said_without_values(error, whole))
        shown = self._shown(context)
        return context.masker.quote(said_without_values(error, shown, is_filled_in=shown != whole))

    @property
    def _place(self) -> str:
        return self.options.file if self.options.file is not None else "the statement"

    def _text(self, project: Project) -> str:
        """Returns the SQL; raises InvalidFileError if it is missing, or if it would leave the step's transaction."""
        if self.options.file is None:
            return self.options.statement or ""
        name = self.options.file
        try:
            require_regular(project.path(name))
            text = project.path(name).read_bytes().decode("utf-8-sig")
        except OSError as error:
            reason = error.strerror or str(error)
            raise InvalidFileError([Problem(f"{name} cannot be read: {reason}", self.source)]) from error
        except UnicodeDecodeError as error:
            raise InvalidFileError([Problem(f"{name} is not UTF-8", self.source)]) from error
        problem = _first_problem(text)
        if problem is not None:
            message, position = problem
            raise InvalidFileError([Problem(message, Source(name, *line_and_column(text, position)))])
        return text


def _first_problem(text: str) -> tuple[str, int] | None:
    """Returns the first reason not to send this text, and its position."""
    if "\0" in text:
        return "SQL cannot contain a NUL character", text.index("\0")
    statements = split(text)
    if not statements:
        return "contains no statement", 0
    for statement in statements:
        if statement.controls_transactions:
            return f"{statement.words[0]} is refused: the step has its own transaction", statement.start
        if statement.copies_with_client:
            return (
                "COPY FROM STDIN and TO STDOUT are not supported; load rows from a file with a fixture",
                statement.start,
            )
        if statement.text.startswith("\\"):
            return "backslash commands are part of psql; the server does not accept them", statement.start
    return None


def _headline(shown: str, more: int) -> str:
    """Returns the first line of the statement, shortened; `more` counts the statements after it."""
    first = next(iter(split(shown)), None)
    line = (first.text if first is not None else shown).partition("\n")[0].rstrip()
    line = line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."
    return line if not more else f"{line} and {more} more"


def _transaction(connection: Connection[Any]) -> object:
    """Returns the id of the current transaction; None outside of one."""
    if status_of(connection) != pq.TransactionStatus.INTRANS:
        return None
    row = connection.execute("SELECT pg_catalog.pg_current_xact_id()").fetchone()
    return row[0] if row else None


@contextmanager
def _notices(context: RunContext, connection: Connection[Any]) -> Iterator[None]:
    """Reports messages of the server, such as RAISE NOTICE."""

    def report(diagnostic: psycopg.errors.Diagnostic) -> None:
        context.report(f"{diagnostic.severity_nonlocalized or 'NOTICE'}: {diagnostic.message_primary}")

    connection.add_notice_handler(report)
    try:
        yield
    finally:
        connection.remove_notice_handler(report)


@contextmanager
def _cancelled_at(connection: Connection[Any], deadline: Deadline) -> Iterator[None]:
    """Cancels the running statement at the deadline; a setting does not suffice, since the SQL text can change it."""
    if deadline.seconds_left == float("inf"):
        yield
        return
    timer = threading.Timer(deadline.seconds_left, connection.cancel_safe, kwargs={"timeout": _CANCEL_SECONDS})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # a late cancel would hit the next statement, which records the result
