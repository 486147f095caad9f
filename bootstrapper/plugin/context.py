"""What a plugin gets to work with."""

from __future__ import annotations

from logging import Logger
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from bootstrapper.deadline import Deadline
from bootstrapper.events import Event
from bootstrapper.plugin.options import StepModel
from bootstrapper.plugin.quoting import quoted
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.state import StepState

if TYPE_CHECKING:
    from psycopg import Connection
    from sqlalchemy import Connection as SQLAlchemyConnection

    from bootstrapper.postgres.connection.loan import Loan


class Context:
    """What a step, check, value function, gate or scope may use; nothing in it is global state."""

    __slots__ = ("_loan", "_run")

    def __init__(self, run: RunContext, loan: Loan | None = None) -> None:
        self._run = run
        self._loan = loan

    @property
    def step(self) -> str:
        """The name of the step."""
        return self._run.step

    @property
    def options(self) -> StepModel | None:
        """The validated `with:` block of the step."""
        return self._run.options

    @property
    def environment(self) -> str | None:
        """The chosen environment; None if the file declares none."""
        return self._run.project.environment

    @property
    def run_id(self) -> UUID | None:
        """The id of the run; None while planning."""
        return self._run.run_id

    @property
    def deadline(self) -> Deadline:
        """The time limit of the run, or of this step."""
        return self._run.deadline

    @property
    def logger(self) -> Logger:
        """The logger `bootstrapper.steps.NAME`, with the name of the step; what it logs is masked."""
        return self._run.logger

    @property
    def connection(self) -> Connection[Any]:
        """The psycopg connection of the run; under the lock the only one that writes with the fence.

        Its transaction is not the plugin's to end: commit, rollback, close and autocommit raise an error. Use
        `with context.connection.transaction():`, a savepoint, around what may fail.
        """
        return self._run.connection if self._loan is None else self._loan.connection

    @property
    def state(self) -> StepState:
        """What the step remembers from run to run, in the ledger; also of other steps."""
        return StepState(self._run, may_write=self._loan is None or not self._loan.reads)

    def sqlalchemy(self) -> SQLAlchemyConnection:
        """Returns a SQLAlchemy Connection on the same backend as `connection`.

        Its begin, commit and rollback do nothing, so that code cannot leave the step's transaction and its fence.
        """
        from bootstrapper.postgres.connection.sqlalchemy import borrow  # noqa: PLC0415 - SQLAlchemy stays off the fast path

        return borrow(self.connection)

    def path(self, text: str | Path) -> Path:
        """Returns an absolute path; a relative one starts at the file's folder."""
        return self._run.project.path(text)

    def report(self, line: str) -> None:
        """Reports a line to the user, masked."""
        self._run.report(line)

    def progress(self, done: int, total: int | None, unit: str, detail: str = "") -> None:
        """Reports how far the step is, such as 20 of 100 rows; `total` is None where it is unknown."""
        self._run.progress(done, total, unit, detail if self._loan is None else self._run.masker.quote(detail))

    def emit(self, event: Event) -> None:
        """Emits an event of `bootstrapper.events`, such as Warned."""
        if not isinstance(event, Event):
            raise TypeError(f"emit takes an event of bootstrapper.events, not {type(event).__name__}")
        self._run.emit(event if self._loan is None else quoted(event))

    def mask(self, text: str) -> str:
        """Returns the text with every known secret in it masked."""
        return self._run.masker.mask(text)


def run_of(context: Context) -> RunContext:
    """Returns what stands behind a plugin's context; for built-ins alone."""
    return context._run  # the one door from the contract to the engine
