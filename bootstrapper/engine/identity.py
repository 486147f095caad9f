"""Keeps a run from writing to a database that was replaced meanwhile, or that belongs to another environment."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from psycopg import Connection

from bootstrapper.errors import ForeignDatabaseError, GuardError
from bootstrapper.events import Warned
from bootstrapper.plugin.project import Project
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.ledger import environment_mark, ledger, records
from bootstrapper.postgres.ledger.environment_mark import Mark
from bootstrapper.postgres.lock.hold import Hold


def expected(session: Session, project: Project, *, is_pending: bool) -> Iterator[Warned]:
    """Yields what will keep a run from writing, as far as a plan can know.

    Args:
        is_pending: Whether there is something to write.
    """
    with session.read_only() as connection:
        said = intrusion(connection, session, project)
    if said is not None:
        yield Warned(f"{said}: {'it' if is_pending else 'whatever it writes'} will be refused", advice(session))
    if not is_pending:
        return
    with session.read_only() as connection:
        refused = ledger.missing_right(connection, project.ledger)
    if refused is not None:
        yield Warned(f"{refused.reason}: it will be refused", refused.hint)


def intrusion(
    connection: Connection[Any], session: Session, project: Project, *, besides: UUID | None = None
) -> str | None:
    """Returns why this environment must not write: the database is marked as that of another one.

    Without a mark, as in a ledger of an earlier release, the last run that named an environment tells.

    Args:
        besides: This run, if it has the lock, and therefore is the last one.
    """
    others = set(project.protected_environments) - {project.environment}
    mark = environment_mark.read(connection, project.ledger)
    if mark is not None:
        return _belongs_elsewhere(session, project, mark)
    if not others:
        return None
    try:
        last = records.last_environment(connection, project.ledger, besides)
    except ledger.UNREADABLE:
        return None
    if last not in others:
        return None
    return (
        f"database {session.server.database!r} was last written by a run of the protected environment {last!r},"
        f" but this run is of {project.environment!r}"
    )


def _belongs_elsewhere(session: Session, project: Project, mark: Mark) -> str | None:
    if mark.name == project.environment:
        return None
    ours = f"this run is of {project.environment!r}" if project.environment else "this run is of no environment"
    return f"database {session.server.database!r} is marked as that of environment {mark.name!r}, but {ours}"


def note_environment(hold: Hold, project: Project, *, is_confirmed: bool) -> None:
    """Marks the database as that of a protected environment, which is about to write to it.

    If the write to the database of another environment was confirmed, that one's mark goes.
    """
    name = project.environment
    if name is None or not (project.protected or is_confirmed):
        return
    with hold.transaction() as connection:
        if project.protected:
            environment_mark.mark(connection, project.ledger, name, socket.gethostname(), replaces=is_confirmed)
        else:
            environment_mark.remove(connection, project.ledger, besides=name)


def require_own_environment(
    session: Session, project: Project, confirmed: str | None, *, besides: UUID | None = None
) -> None:
    """Raises ForeignDatabaseError where the database is of another environment, unless its name was given."""
    with session.read_only() as connection:
        said = intrusion(connection, session, project, besides=besides)
    if said is not None and confirmed != session.server.database:
        raise ForeignDatabaseError(f"{said}; nothing was written", hint=advice(session))


def require_same_server(session: Session) -> None:
    """Raises ForeignDatabaseError where the address leads to another cluster than when the run began."""
    if session.server.is_apart_from(session.first_server):
        raise ForeignDatabaseError(
            f"{session.target.where} is another server than when this run began; nothing was written to it",
            hint="Check the address and `bootstrapper plan`, then apply again.",
        )


def require_not_restored(session: Session, project: Project) -> None:
    """Raises GuardError where the database was restored while the run waited: what is pending was not asked for.

    A restore beside it is done for its own ledger a moment before the new database takes the name.
    """
    with session.read_only() as connection:
        restore = ledger.restored_since(connection, project.ledger, session.began_at)
    if restore is not None or session.server.oid != session.first_server.oid:
        how = f"restored by run {restore}" if restore is not None else "replaced by another database of the same name"
        raise GuardError(
            f"the database was {how} after this run began: pending changes may be what the restore undid;"
            " nothing was applied",
            hint="Check `bootstrapper plan`, then apply again.",
        )


def advice(session: Session) -> str:
    return f"Check the address and -e. To write to it anyway, pass --confirm {session.server.database}."
