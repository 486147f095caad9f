"""What the engine and the built-in engines know while one step is looked at or applied; plugins see a Context."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import field
from logging import Logger
from typing import TYPE_CHECKING, Any
from uuid import UUID

from bootstrapper.config.run_cache import RunCache
from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.errors import FencedOffError
from bootstrapper.events import Emit, StepProgressed, StepReported
from bootstrapper.masking import Masker
from bootstrapper.plans import Answer
from bootstrapper.plugin.options import StepModel
from bootstrapper.plugin.project import Declaration, Project
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.lock.hold import Hold

if TYPE_CHECKING:
    from psycopg import Connection


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """The state of the run, as one step sees it.

    Attributes:
        session: The session of the run; `connection` is its psycopg connection, opened on first use.
        options: The validated `with:` block of the step.
        declaration: What else the file says of the step.
        hold: The lock that is held; None while planning.
        pending: Answers whether any of the named steps has changes, or may have.
        earlier: Returns the names of the steps before this one that have changes, or may have; none when this step's
            turn has come.
        turn: Results that stay valid for this look at the step, or for this turn of it.
    """

    project: Project
    step: str
    session: Session
    emit: Emit
    deadline: Deadline
    logger: Logger
    masker: Masker
    options: StepModel | None = None
    declaration: Declaration = field(default_factory=Declaration)
    hold: Hold | None = None
    pending: Callable[[Collection[str]], Answer] = lambda names: Answer.unknown("nothing is planned yet")
    earlier: Callable[[], Sequence[str]] = lambda: ()
    turn: RunCache = field(default_factory=RunCache)

    def require_hold(self) -> Hold:
        """Returns the hold; raises FencedOffError if no lock is held."""
        if self.hold is None:
            raise FencedOffError("no lock is held")
        return self.hold

    def require_not_fenced_off(self) -> None:
        """Raises FencedOffError if a lock is held and another run took it over."""
        if self.hold is not None:
            self.hold.require()

    @property
    def connection(self) -> Connection[Any]:
        """The connection of the hold, if one is held: another one would write without the fence."""
        return self.hold.connection if self.hold is not None else self.session.connection

    @property
    def run_id(self) -> UUID | None:
        return self.hold.fence.run_id if self.hold else None

    @property
    def application_name(self) -> str:
        """The name for further sessions; it identifies the run in pg_stat_activity."""
        return self.session.name_of(self.run_id)

    @property
    def own_target(self) -> Target:
        """The database's address for further sessions, with their application_name."""
        return self.project.target.replacing(application_name=self.application_name)

    def progress(self, done: int, total: int | None, unit: str, detail: str = "") -> None:
        """Reports how far the step is."""
        self.emit(StepProgressed(self.step, done, total, unit, self.masker.mask(detail)))

    def report(self, line: str) -> None:
        """Reports a line that a tool printed, masked."""
        self.emit(StepReported(self.step, self.masker.quote(line)))
