"""Tests of error messages and exit codes of exceptions."""

from __future__ import annotations

import json
from collections.abc import Callable

import click
import pytest

from bootstrapper import errors
from bootstrapper.cli import error_output
from bootstrapper.errors import ExitCode, Problem, Source
from bootstrapper.masking import Masker
from bootstrapper.programs.signals import Terminated

SECRET = "correct horse"


def masker() -> Masker:
    made = Masker()
    made.learn(SECRET)
    return made


def caught(raising: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as found:  # noqa: PT011 - any at all, KeyboardInterrupt included
        raising()
    return found.value


def raise_(error: BaseException) -> None:
    raise error


def aborted(cause: BaseException) -> click.Abort:
    """As click turns an interrupt into its own exception."""
    abort = click.Abort()
    abort.__cause__ = cause
    return abort


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("no"), ExitCode.CONFIG),
        (errors.StepFailedError("no"), ExitCode.FAILED),
        (errors.LockTimeoutError("run 1", 3), ExitCode.LOCKED),
        (errors.GuardError("no"), ExitCode.GUARDED),
        (errors.AheadError("no"), ExitCode.AHEAD),
        (errors.RunInterrupted("SIGINT"), ExitCode.INTERRUPTED),
        (errors.RunTerminated("SIGTERM"), ExitCode.TERMINATED),
        (click.UsageError("no"), ExitCode.CONFIG),
        (click.FileError("x"), ExitCode.CONFIG),
        (click.Abort(), ExitCode.INTERRUPTED),
        (aborted(KeyboardInterrupt()), ExitCode.INTERRUPTED),
        (aborted(Terminated()), ExitCode.TERMINATED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (Terminated(), ExitCode.TERMINATED),
        (ZeroDivisionError(), ExitCode.BUG),
    ],
)
def test_every_exception_has_its_exit_code(error: BaseException, code: ExitCode) -> None:
    assert error_output.exit_code(error) == code


def test_an_error_is_printed_with_its_hint_and_without_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    error = caught(lambda: raise_(errors.GuardError("it is protected", hint="Name another.")))
    code = error_output.report(error, Masker(), as_json=False, colour=False)
    assert code == ExitCode.GUARDED
    assert capsys.readouterr().err == "error: it is protected\nhint: Name another. [BOOT-901]\n"


def test_every_problem_of_a_file_has_its_line_and_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [
        Problem("unknown key 'stps'", Source("bootstrap.yaml", 4, 1), "Did you mean 'steps'?"),
        Problem("version is missing", Source("bootstrap.yaml", 1, 1)),
    ]
    error_output.report(errors.InvalidFileError(problems), Masker(), as_json=False, colour=False)
    assert capsys.readouterr().err.splitlines() == [
        "error: bootstrap.yaml:1:1: version is missing",
        "error: bootstrap.yaml:4:1: unknown key 'stps'",
        "hint: Did you mean 'steps'?",
        "2 problems [BOOT-201]",
    ]


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("Mend it.", "error: a.yaml:2:3: bad\nhint: Mend it. [BOOT-201]\n"),
        (None, "error: a.yaml:2:3: bad [BOOT-201]\n"),
    ],
)
def test_a_single_problem_has_its_code_beside_it(
    hint: str | None, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = errors.InvalidFileError([Problem("bad", Source("a.yaml", 2, 3), hint)])
    error_output.report(error, Masker(), as_json=False, colour=False)
    assert capsys.readouterr().err == expected


def test_a_bug_is_printed_with_its_traceback_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    error = caught(lambda: raise_(ZeroDivisionError(f"password {SECRET} divided")))
    assert error_output.report(error, masker(), as_json=False, colour=False) == ExitCode.BUG
    text = capsys.readouterr().err
    assert text.startswith("Traceback")
    assert "error: this is a bug in bootstrapper" in text
    assert "Report it" in text
    assert SECRET not in text


@pytest.mark.parametrize("error", [errors.UnreachableError("db:1/app", f"{SECRET}?"), ZeroDivisionError(SECRET)])
def test_a_json_error_is_one_line_without_secrets(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    error_output.report(caught(lambda: raise_(error)), masker(), as_json=True, colour=False)
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert {"event", "message", "hint", "exit_code", "retryable", "source"} <= said.keys()
    assert said["event"] == "error"
    assert said["exit_code"] == error_output.exit_code(error)
    assert said["retryable"] is isinstance(error, errors.UnreachableError)
    assert SECRET not in line


def test_a_json_error_of_a_file_lists_its_problems(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.InvalidFileError([Problem("bad", Source("a.yaml", 2, 3), "Mend it.")])
    error_output.report(error, Masker(), as_json=True, colour=False)
    said = json.loads(capsys.readouterr().err)
    assert said["problems"] == [{"message": "bad", "hint": "Mend it.", "source": "a.yaml:2:3"}]


def test_the_word_error_is_red_if_colours_are_enabled(capsys: pytest.CaptureFixture[str]) -> None:
    error_output.report(errors.UsageError("no"), Masker(), as_json=False, colour=True)
    assert capsys.readouterr().err == "\x1b[31merror:\x1b[0m no [BOOT-204]\n"


def test_a_very_long_line_of_an_error_is_truncated(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.StepFailedError("x" * 100_000, hint="y" * 100_000)
    error_output.report(error, Masker(), as_json=False, colour=False)
    assert len(capsys.readouterr().err) < 5_000
    error_output.report(error, Masker(), as_json=True, colour=False)
    assert len(capsys.readouterr().err) < 5_000


def test_details_of_an_error_are_lines_with_escaped_line_breaks(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.BackupError("pg_dump failed", details=["one\nerror: forged", "two"])
    error_output.report(error, Masker(), as_json=False, colour=False)
    assert capsys.readouterr().err == "error: pg_dump failed [BOOT-107]\n  one\\nerror: forged\n  two\n"
