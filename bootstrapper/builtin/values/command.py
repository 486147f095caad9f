"""`$command`: what a program prints, such as a password from a secrets manager or a token for one login."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bootstrapper.config.units import parse_duration, show_seconds
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.value import UNKNOWN, Value
from bootstrapper.programs import runner

LONGEST_SECONDS = 30.0
LARGEST = 1024 * 1024  # bytes; a secret is shorter
_SHOWN_LINES = 3
_FORM = "$command takes [program, argument...], or {run: [program, argument...], timeout: 10s}"


class CommandOutput(Value):
    """`$command: [program, argument...]`, or `$command: {run: [program, argument...], timeout: 10s}`.

    The value is what the program prints to its standard output, without the last line break. No shell is involved, and
    the working directory is the folder of the file that names it. The program is ended after `timeout` (30s). An exit
    code other than 0 is an error, which shows the last lines of its standard error. `validate` does not run it.
    Under `database` it is run for each login, in a fixture whenever its rows are compared, anywhere else once.
    """

    key = "$command"
    secret = True
    runs_program = True
    is_path_to_secret = True

    def check(self, argument: Any) -> None:
        _parsed(argument)

    def resolve(self, context: Context, argument: Any) -> object:
        run = run_of(context)
        words, seconds = _parsed(argument)
        name = Path(words[0]).name
        deadline = run.deadline.sooner(seconds)
        try:
            ended, printed = runner.output(
                [_program(words[0], run), *words[1:]],
                environment=run.project.variables,
                deadline=deadline,
                folder=run.project.directory,
                longest=LARGEST,
            )
        except runner.OutOfTimeError:
            raise ValueError(
                f"$command: {name} did not finish in time and was killed; its limit is {show_seconds(seconds)}"
            ) from None
        except OSError as error:
            raise ValueError(f"$command: {name} cannot be started: {error.strerror or error}") from error
        if len(printed) > LARGEST:
            raise ValueError(f"$command: {name} printed more than {LARGEST // 1024**2} MB")
        if ended.code != 0:
            raise ValueError(f"$command: {name} {ended.how}{_last_words(ended, run)}")
        return _text(name, printed)


def _parsed(argument: Any) -> tuple[list[str], float]:
    """Returns the words of the command, and its limit of time in seconds."""
    given = argument if isinstance(argument, Mapping) else {"run": argument}
    words = given.get("run")
    if not given.keys() <= {"run", "timeout"} or not isinstance(words, list) or not words:
        raise ValueError(_FORM)
    scalars = all(isinstance(word, str | int | float) or word is UNKNOWN for word in words)
    if not scalars or words[0] == "":
        raise ValueError(_FORM)
    limit = given.get("timeout", LONGEST_SECONDS)
    seconds = parse_duration(limit) if isinstance(limit, str) else limit
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
        raise ValueError(f"{_FORM}; the timeout must be positive")
    return [str(word) for word in words], float(seconds)


def _program(name: str, run: RunContext) -> str:
    """Returns the path of the program, looked up in the PATH that it will be given."""
    if os.sep in name:
        found = shutil.which(run.project.path(name))
        where = f"in {run.project.directory}"
    else:
        found = shutil.which(name, path=run.project.variables.get("PATH", os.defpath))
        where = "on PATH"
    if found is None:
        raise ValueError(f"$command: program {name} not found {where}")
    return found


def _last_words(ended: runner.Ended, run: RunContext) -> str:
    lines = [line for line in ended.last_lines if line.strip()][-_SHOWN_LINES:]
    return f": {' / '.join(run.masker.quote(line.strip()) for line in lines)}" if lines else ""


def _text(name: str, printed: bytes) -> str:
    try:
        text = printed.decode()
    except UnicodeDecodeError:
        raise ValueError(f"$command: {name} printed text that is not UTF-8") from None
    if "\0" in text:
        raise ValueError(f"$command: {name} printed a NUL character")
    return text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")
