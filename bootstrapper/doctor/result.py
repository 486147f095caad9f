"""What one check found, as pure data."""

from __future__ import annotations

from enum import StrEnum

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import BootstrapperError, ExitCode


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Result:
    """What one check found.

    Attributes:
        check: Its name, such as `server`, or that of a step.
        details: Further lines, such as each object that a privilege is missing on.
        remedy: What to do, in the imperative; empty if nothing.
        statements: SQL that repairs it, each ready to run.
        exit_code: Of a problem, that of the command that would meet it.
    """

    check: str
    verdict: Verdict
    message: str
    remedy: str = ""
    details: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    exit_code: ExitCode = ExitCode.DONE


def ok(check: str, message: str) -> Result:
    return Result(check, Verdict.OK, message)


def warning(check: str, message: str, remedy: str = "") -> Result:
    return Result(check, Verdict.WARNING, message, remedy)


def problem(check: str, message: str, exit_code: ExitCode, remedy: str = "") -> Result:
    return Result(check, Verdict.PROBLEM, message, remedy, exit_code=exit_code)


def of_error(check: str, error: BootstrapperError) -> Result:
    """Returns the problem that a command would end with."""
    return Result(
        check, Verdict.PROBLEM, error.headline, error.hint or "", details=error.details, exit_code=error.exit_code
    )
