"""Errors that refuse, end or interrupt a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bootstrapper.errors._base import BootstrapperError, ExitCode, Source


class GuardError(BootstrapperError):
    exit_code = ExitCode.GUARDED
    code = "BOOT-901"


class ForeignDatabaseError(BootstrapperError):
    """The database is another one than the run began with, or belongs to another environment."""

    exit_code = ExitCode.GUARDED
    code = "BOOT-903"


class FrozenError(BootstrapperError):
    """The database is frozen: nothing is applied to it until it is unfrozen."""

    exit_code = ExitCode.GUARDED
    code = "BOOT-904"

    def __init__(self, database: str, freeze: str, steps: Sequence[str] = ()) -> None:
        """Takes the reason of the freeze with who and since when, and the steps that were waited for."""
        self.database = database
        self.freeze = freeze
        self.steps = tuple(steps)
        end = f"changes are still pending in {', '.join(steps)}" if steps else "nothing was applied"
        super().__init__(
            f"database {database!r} is frozen: {freeze}; {end}",
            hint="Once changes may be applied again: `bootstrapper unfreeze`.",
        )


class HazardError(BootstrapperError):
    """Changes have hazards that the protected environment does not allow; no step that has one was started.

    Attributes:
        hazards: The names of the hazards, each once.
    """

    exit_code = ExitCode.GUARDED
    code = "BOOT-902"

    def __init__(self, environment: str, hazards: Mapping[str, Sequence[str]], lines: Sequence[str]) -> None:
        """Takes the names of the hazards by step, and a line for each place that has one."""
        self.environment = environment
        self.hazards = tuple(dict.fromkeys(name for names in hazards.values() for name in names))
        options = " ".join(f"--allow {name}" for name in self.hazards)
        limits = [f"`limits: {{allow: [{', '.join(names)}]}}` of step {step!r}" for step, names in hazards.items()]
        super().__init__(
            f"environment {environment!r} is protected and does not allow these hazards; none of them was started:",
            details=lines,
            hint=f"Choose the safer way that `bootstrapper plan` names, or allow them once with {options}, or always"
            f" with {' and '.join(limits)}.",
        )


class AheadError(BootstrapperError):
    """The database is ahead of this code.

    Attributes:
        is_acceptable: Whether the start of an application, or a run that only waits for the database, may continue
            without any write.
    """

    exit_code = ExitCode.AHEAD
    code = "BOOT-1001"

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


class LedgerDamagedError(BootstrapperError):
    """Rows of the ledger were changed, inserted or removed."""

    exit_code = ExitCode.FAILED
    code = "BOOT-111"

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__(
            "the rows of the ledger do not agree with their hashes",
            details=faults,
            hint="Find out who wrote to the ledger; `bootstrapper history RUN` shows what the rows of a run say.",
        )


class PendingError(BootstrapperError):
    """Other runs did not reach the declared state in time."""

    exit_code = ExitCode.PENDING
    code = "BOOT-401"

    def __init__(self, steps: Sequence[str], seconds: float | None) -> None:
        """Takes for how long they were waited for; None for a single look."""
        self.steps = tuple(steps)
        self.seconds = seconds
        if seconds is None:
            super().__init__(f"changes are pending in {', '.join(steps)}", hint="Make them: `bootstrapper apply`.")
            return
        super().__init__(
            f"changes still pending in {', '.join(steps)} after {seconds:.0f} s",
            hint="Look at the run that should make them: `bootstrapper status`, `bootstrapper lock show`.",
        )


class UnplannedChangeError(BootstrapperError):
    """A step would delete or overwrite at its turn what the plan did not show; it was not started."""

    exit_code = ExitCode.STALE
    code = "BOOT-802"

    def __init__(self, step: str, action: str, target: str, count: int) -> None:
        self.step = step
        self.action = action
        self.target = target
        self.count = count
        others = f" and {count - 1:,} more" if count > 1 else ""
        super().__init__(
            f"step {step!r} would {action} {target}{others}, which the plan did not show; the step was not started",
            hint=f"Look at it with `bootstrapper plan`, then apply again to {action} it; or declare it as it is now"
            " and apply again.",
        )


class RunInterrupted(BootstrapperError):  # noqa: N818 - it reports a signal, not a fault
    """A signal ended the run; committed work stays, the rest is rolled back."""

    exit_code = ExitCode.INTERRUPTED
    code = "BOOT-13001"

    def __init__(self, signal_name: str) -> None:
        self.signal_name = signal_name
        super().__init__(f"interrupted by {signal_name}", hint="Run again to continue.")


class RunTerminated(RunInterrupted):
    exit_code = ExitCode.TERMINATED
    code = "BOOT-14301"


class StalePlanError(BootstrapperError):
    """A saved plan does not fit the database or the configuration any more; the step in question was not started.

    Attributes:
        step: The step that differs; None where the plan as a whole does not fit.
    """

    exit_code = ExitCode.STALE
    code = "BOOT-801"

    def __init__(
        self,
        difference: str,
        *,
        step: str | None = None,
        details: Sequence[str] = (),
        command: str = "bootstrapper plan --out FILE",
    ) -> None:
        """Takes what differs, and the command that makes a new plan."""
        self.step = step
        where = f"step {step!r}: " if step is not None else ""
        super().__init__(
            f"the saved plan is stale: {where}{difference}",
            details=details,
            hint=f"Make a new plan with `{command}` and have it reviewed.",
        )
