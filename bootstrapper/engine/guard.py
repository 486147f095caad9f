"""Guards the start of an application, one of many replicas: that of an older release leaves a newer database alone."""

from __future__ import annotations

from collections.abc import Sequence

from bootstrapper.engine.look import Looker
from bootstrapper.errors import AheadError
from bootstrapper.events import Warned
from bootstrapper.plugin.project import Project
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.ledger import declarations
from bootstrapper.postgres.ledger.declarations import Later, Whose


class Guard:
    """Asked before the lock is taken, and again under it."""

    def __init__(self, looker: Looker, every: Looker, project: Project, session: Session) -> None:
        """Takes who looks at the steps of the run, and at every step of the file: its revisions tell as well."""
        self._looker = looker
        self._every = every
        self._project = project
        self._session = session

    def require_current(self) -> None:
        """Raises AheadError if a newer release changed the database.

        Pending revisions that no run has ever seen are those of a new release, whatever else it declares as an earlier
        one did; pending fixtures and steps as well, that no run before the latest one declared so.
        """
        self._every.hold = self._looker.hold
        heads, project = self._every.pending_heads(), self._project
        with self._looker.read_only() as connection:
            if heads and declarations.has_unknown(connection, project.ledger, heads):
                return
            later = declarations.declared_later(connection, project.ledger, project.declared(), self._whose)
        if later and not self._brings_new(later[0]):
            raise _older(project, later)

    def _brings_new(self, latest: Later) -> bool:
        project = self._project
        declared, pending = project.declared(), self._looker.pending_items()
        items = {item: declared[item] for item in pending if item in declared}
        with self._looker.read_only() as connection:
            return declarations.has_undeclared(connection, project.ledger, items, self._whose, latest.run.serial)

    @property
    def _whose(self) -> Whose:
        project = self._project
        is_named = project.document.data.get("name") is not None
        return Whose(project.name, project.environment, None if is_named else project.declared())

    @staticmethod
    def accepts(error: BaseException) -> bool:
        """Returns whether the application may start in spite of the error, without any write."""
        return isinstance(error, AheadError) and error.is_acceptable


def left_alone(error: AheadError, *, is_partly_done: bool = False) -> Warned:
    """Returns the warning of a run that continues with a database that is ahead of the code."""
    return Warned(f"{error.message}; continuing, nothing {'more ' if is_partly_done else ''}is written", error.hint)


def _older(project: Project, later: Sequence[Later]) -> AheadError:
    first = later[0]
    did = "no longer declared it" if first.is_gone else "declared it differently"
    others = f", and {len(later) - 1} more" if len(later) > 1 else ""
    return AheadError(
        f"{project.target.where} is ahead of this configuration: {first.item} is as an earlier run declared it, but"
        f" {first.run} {did}{others}",
        is_acceptable=True,
        hint="Deploy the newer configuration; to return to this one, run `bootstrapper apply` with it.",
    )
