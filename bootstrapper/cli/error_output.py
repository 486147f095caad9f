"""Turns an exception into an exit code and into an error message on stderr."""

from __future__ import annotations

import json
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from bootstrapper import __version__
from bootstrapper.cli.groups import Misuse
from bootstrapper.cli.jsonlog import head
from bootstrapper.cli.output import RED, has_data, paint, print_data, print_message
from bootstrapper.errors import (
    BlockedError,
    BootstrapperError,
    ExitCode,
    HazardError,
    InvalidFileError,
    MigrationError,
    RunInterrupted,
    RunTerminated,
    UsageError,
)
from bootstrapper.masking import Masker
from bootstrapper.plans import JSONValue
from bootstrapper.programs.signals import Terminated
from bootstrapper.text import cut, listed, one_line, report_lines

if TYPE_CHECKING:
    from bootstrapper.postgres.lock.blockers import Blocker


def known(error: BaseException) -> BootstrapperError | None:
    """Returns the error as one of ours; None is a bug."""
    if isinstance(error, click.Abort):
        return known(error.__cause__ or KeyboardInterrupt())
    if isinstance(error, Terminated):
        return RunTerminated("SIGTERM")
    if isinstance(error, KeyboardInterrupt | EOFError):
        return RunInterrupted("SIGINT")
    if isinstance(error, click.ClickException):
        return _misuse(error)
    return error if isinstance(error, BootstrapperError) else None


def _misuse(error: click.ClickException) -> UsageError:
    """Returns click's error in the style of the others: no capital, no full stop, a guess as the hint."""
    message, hint = error.format_message().removesuffix("."), None
    if isinstance(error, click.UsageError):
        hint = f"Try `{error.ctx.command_path if error.ctx else 'bootstrapper'} --help`."
    if isinstance(error, Misuse):
        hint = error.hint
    if isinstance(error, click.NoSuchOption):
        message = f"unknown option {error.option_name!r}"
        hint = f"Did you mean {listed(map(repr, error.possibilities), 'or')}?" if error.possibilities else hint
    return UsageError(message[:1].lower() + message[1:], hint=hint)


def exit_code(error: BaseException) -> ExitCode:
    ours = known(error)
    return ours.exit_code if ours else ExitCode.BUG


def facts(error: BaseException, masker: Masker, *, with_traceback: bool = False) -> dict[str, JSONValue]:
    """Returns the error as JSON, with the traceback of a bug, and on request that of the project's code."""
    ours = known(error)
    source = ours.source if ours else None

    def told(text: str | None) -> str | None:
        return "\n".join(cut(masker.mask(line)) for line in text.split("\n")) if text else None

    said: dict[str, JSONValue] = {
        "event": "error",
        "code": ours.code if ours else None,
        "message": told(ours.message if ours else masker.quote(_one_line(error))),
        "hint": told(ours.hint) if ours else None,
        "exit_code": int(exit_code(error)),
        "retryable": ours.retryable if ours else False,
        "sqlstate": ours.sqlstate if ours else None,
        "source": str(source) if source else None,
    }
    if isinstance(ours, BlockedError):
        said["blockers"] = [_blocker(each) for each in ours.blockers]
    if isinstance(ours, HazardError):
        said["hazards"] = list(ours.hazards)
    if isinstance(ours, InvalidFileError):
        problems = [
            {
                "message": told(each.message),
                "hint": told(each.hint),
                "source": str(each.source) if each.source else None,
            }
            for each in ours.problems
        ]
        return {**said, "problems": problems}
    traceback = _projects_traceback(error, wanted=with_traceback) if ours else _traceback(error)
    return {**said, "traceback": masker.quote(traceback)} if traceback else said


def _blocker(blocker: Blocker) -> dict[str, JSONValue]:
    return {**asdict(blocker), "since": blocker.since.isoformat() if blocker.since else None}


def report(
    error: BaseException, masker: Masker, *, as_json: bool, colour: bool, with_traceback: bool = False
) -> ExitCode:
    """Prints the error without secrets known by now and returns the exit code."""
    if as_json:
        said = facts(error, masker, with_traceback=with_traceback)
        print_message(json.dumps({**head(datetime.now(UTC), "error", "error"), **said}))
    else:
        shown = _projects_traceback(error, wanted=with_traceback)
        for line in [*masker.quote(shown).splitlines(), *_lines(error, masker, colour=colour)]:
            print_message(line, sys.stderr)
    return exit_code(error)


def print_as_data(error: BaseException, masker: Masker) -> None:
    """Prints the error as one line of JSON to stdout, in place of the data that a program waits for.

    Not behind data that the command printed before it failed: what reads it expects one document.
    """
    if has_data.get():
        return
    said = facts(error, masker)
    said |= {"event": "error", "error": said.pop("message"), "place": said.pop("source")}
    with suppress(UsageError):  # the error itself was that stdout cannot be written
        print_data(json.dumps(said))


def _projects_traceback(error: BaseException, *, wanted: bool) -> str:
    cause = error.cause if isinstance(error, BlockedError) else error
    return cause.traceback or "" if wanted and isinstance(cause, MigrationError) else ""


def _lines(error: BaseException, masker: Masker, *, colour: bool) -> list[str]:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.format_message().split("\n")
    label = paint("error:", RED, enabled=colour)
    ours = known(error)
    if ours is None:
        return [
            *masker.quote(_traceback(error)).split("\n"),
            f"{label} this is a bug in bootstrapper {__version__}: {one_line(masker.quote(_one_line(error)))}",
            "hint: Report it with the lines above; secrets known to bootstrapper are masked in them.",
        ]
    return report_lines(ours, masker.mask, f"{label} ")


def _one_line(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()
