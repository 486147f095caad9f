"""Asks whether the database is frozen: before the lock is taken, while a run waits for it, and for its readers."""

from __future__ import annotations

from bootstrapper.errors import BootstrapperError, FrozenError, PendingError
from bootstrapper.events import Emit, Warned
from bootstrapper.plugin.project import Project
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.ledger import frozen
from bootstrapper.postgres.ledger.frozen import Freeze


def freeze_of(session: Session, project: Project) -> Freeze | None:
    """Returns the freeze of the database; None if it is not frozen, or the role cannot read the ledger."""
    with session.read_only() as connection:
        return frozen.read(connection, project.ledger)


def require_unfrozen(session: Session, project: Project) -> None:
    """Raises FrozenError if the database is frozen, unless the run ignores that."""
    freeze = None if project.ignores_freeze else freeze_of(session, project)
    if freeze is not None:
        raise FrozenError(session.server.database, str(freeze))


def told(session: Session, freeze: Freeze) -> Warned:
    """Returns the warning that the database is frozen."""
    return Warned(
        f"database {session.server.database!r} is frozen: {freeze}",
        "Nothing is applied to it until `bootstrapper unfreeze`.",
    )


class FreezeWatch:
    """Looks for a freeze while a run waits for what others are to apply."""

    def __init__(self, session: Session, project: Project, emit: Emit) -> None:
        self._session = session
        self._project = project
        self._emit = emit
        self._database = ""
        self._freeze: Freeze | None = None

    def look(self) -> None:
        """Looks, and warns once of each freeze."""
        self._database = self._session.server.database
        known, self._freeze = self._freeze, freeze_of(self._session, self._project)
        if self._freeze is not None and self._freeze != known:
            self._emit(told(self._session, self._freeze))

    def explained(self, error: PendingError) -> BootstrapperError:
        """Returns the error, or that of the freeze which was there at the last look."""
        if self._freeze is None:
            return error
        return FrozenError(self._database, str(self._freeze), error.steps)
