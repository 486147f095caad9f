"""Keeps a run of one environment out of the database of another one that is protected."""

from __future__ import annotations

from bootstrapper.errors import GuardError
from bootstrapper.postgres import ledger
from bootstrapper.postgres.session import Session
from bootstrapper.step import Project


def intrusion(session: Session, project: Project) -> str | None:
    """What speaks against a write of this environment: the database was last written by a protected one."""
    others = set(project.protected_environments) - {project.environment}
    if not others:
        return None
    with session.read_only() as connection:
        try:
            last = ledger.last_environment(connection, project.ledger)
        except ledger.UNREADABLE:
            return None
    if last not in others:
        return None
    return (
        f"database {session.server.database!r} was last written by a run of the protected environment {last!r},"
        f" and this one is of {project.environment!r}"
    )


def require_own_environment(session: Session, project: Project, confirmed: str | None) -> None:
    """Raises GuardError where the database belongs to another environment, unless its name was given."""
    said = intrusion(session, project)
    if said is not None and confirmed != session.server.database:
        raise GuardError(f"{said}; nothing was written", hint=advice(session))


def advice(session: Session) -> str:
    return f"Check the address and -e. To write to it all the same, pass --confirm {session.server.database}."
