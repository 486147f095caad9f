"""Errors of the connection, the lock and the embedded server."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bootstrapper.errors._base import BootstrapperError, ExitCode


class UnreachableError(BootstrapperError):
    """No connection at this moment.

    Attributes:
        sqlstate: The server's code, None if no server answered.
        patience_seconds: How long a failure that stays the same is retryable.
    """

    exit_code = ExitCode.UNREACHABLE
    code = "BOOT-501"

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
        self.patience_seconds = patience_seconds
        tries = f" after {attempts} attempts in {seconds:.0f} s" if attempts > 1 else ""
        super().__init__(
            f"{where} cannot be reached{tries}: {reason}",
            hint=hint or "Run again when the server answers; committed work is recognised and not repeated.",
            sqlstate=sqlstate,
        )


class RefusedError(BootstrapperError):
    """The server refused, and would again: wrong credentials, a missing privilege or database, no TLS.

    Attributes:
        step: The step that cannot make its changes without a privilege, which a run that only looks does not need.
    """

    exit_code = ExitCode.REFUSED
    code = "BOOT-601"

    def __init__(
        self, where: str, reason: str, *, sqlstate: str | None = None, hint: str | None = None, step: str | None = None
    ) -> None:
        self.where = where
        self.reason = reason
        self.step = step
        super().__init__(f"{where} refused (not retryable): {reason}", hint=hint, sqlstate=sqlstate)


class LockError(BootstrapperError):
    exit_code = ExitCode.LOCKED


class LockTimeoutError(LockError):
    code = "BOOT-701"

    def __init__(self, holder: str, seconds: float) -> None:
        self.holder = holder
        self.seconds = seconds
        super().__init__(f"lock not acquired within {seconds:.0f} s: {holder}", hint="Run again later.")


class LockBusyError(LockError):
    code = "BOOT-702"

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(
            f"could not terminate the open transaction of run {run_id}",
            hint="Try again as a role that may terminate its backends (pg_signal_backend).",
        )


class FencedOffError(LockError):
    """Another run has the lock; this one wrote nothing after losing it."""

    code = "BOOT-703"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"fenced off: {reason}; nothing was written since", hint="Run again.")


class CommitUnknownError(BootstrapperError):
    """The connection was lost during a COMMIT: only the ledger knows whether it happened."""

    exit_code = ExitCode.UNREACHABLE
    code = "BOOT-502"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"connection lost at COMMIT: {reason}",
            hint="Run again; committed work is recognised and not repeated.",
        )


class EmbeddedServerError(BootstrapperError):
    exit_code = ExitCode.UNREACHABLE
    code = "BOOT-503"

    def __init__(self, reason: str, *, hint: str | None = None, details: Iterable[str] = ()) -> None:
        self.reason = reason
        super().__init__(f"embedded server: {reason}", hint=hint, details=details)


class UnusableServerError(EmbeddedServerError):
    """The embedded server cannot run here, however often it is tried."""

    exit_code = ExitCode.REFUSED
    code = "BOOT-602"
