"""Opens the file of `--report` before the run, so that an unwritable one is refused before any change."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import click

from bootstrapper.cli import error_output
from bootstrapper.cli.journal import Journal
from bootstrapper.cli.options import DEFAULT_FILE, ENVIRONMENT_VARIABLE, FILE_VARIABLE
from bootstrapper.config.outputs import require_writable
from bootstrapper.errors import BootstrapperError, ExitCode, UsageError
from bootstrapper.masking import Masker

_OPTION, _OVERWRITE = "--report", "--overwrite"
# A pipe or a link may appear between the check and the opening: do not wait for the one, do not follow the other.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_BYTES = 64 * 1024 * 1024
_KEYS = frozenset({"command", "exit_code", "outcome", "steps", "warnings", "plan"})


def opened(path: Path, *, overwrite: bool, inputs: Iterable[Path]) -> TextIO:
    """Opens the report, emptied; raises UsageError if it cannot be written or would replace another file."""
    require_writable(path, overwrite=overwrite, is_ours=_is_report, inputs=inputs)
    try:
        descriptor = os.open(path, _FLAGS, 0o666)
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
        return os.fdopen(descriptor, "w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write the report {path}: {error.strerror}") from error


def files_read(file: Path, environment: str | None, variables: Mapping[str, str]) -> Iterator[Path]:
    """Yields the configuration file, its overlay and its env files; reads them only when iterated."""
    from bootstrapper.config import load  # noqa: PLC0415 - only if a file might be replaced

    yield from load.files_read(file, environment, variables)


def report_refusal(error: BaseException, arguments: Sequence[str], masker: Masker) -> None:
    """Writes the report of a command whose arguments were refused before it opened the report itself."""
    ours = error_output.known(error)
    path = _named(arguments)
    if ours is None or ours.is_reported or ours.exit_code is not ExitCode.CONFIG or path is None:
        return
    if isinstance(error, click.UsageError) and not _takes_report(error.ctx):
        return
    command = next((word for word in arguments if not word.startswith("-")), "")
    if command == "fleet":
        return  # its report has another form, which the next run continues or replaces
    journal = Journal(command)
    journal.error = error_output.facts(error, masker)
    with (
        suppress(BootstrapperError, OSError),  # the error of the command itself is already printed
        opened(path, overwrite=_OVERWRITE in arguments, inputs=_files(arguments)) as file,
    ):
        journal.write(file, ours.exit_code, masker)


def _is_report(path: Path) -> bool:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return False
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= _KEYS


def _takes_report(context: click.Context | None) -> bool:
    return context is not None and any(parameter.name == "report" for parameter in context.command.params)


def _named(arguments: Sequence[str]) -> Path | None:
    """Returns the value of `--report`, read without click, which stopped at the wrong argument."""
    found = _values(arguments, _OPTION)
    return Path(found[-1]) if found and found[-1] else None


def _files(arguments: Sequence[str]) -> Iterator[Path]:
    """Yields what the command may have read: every argument, the configuration and the files that it names."""
    environment = next(reversed(_values(arguments, "-e", "--environment")), os.environ.get(ENVIRONMENT_VARIABLE))
    named = _values(arguments, "-f", "--file") or [os.environ.get(FILE_VARIABLE) or str(DEFAULT_FILE)]
    for text in named:
        yield from files_read(Path(text), environment, os.environ)
    before = ["", *arguments]
    yield from (Path(word) for last, word in zip(before, arguments, strict=False) if word and last != _OPTION)
    yield from (Path(word.partition("=")[2]) for word in arguments if not word.startswith(f"{_OPTION}="))


def _values(arguments: Sequence[str], *options: str) -> list[str]:
    """Returns the values of an option in all forms of click: `-f x`, `-fx`, `-qfx`, `--file x`, `--file=x`."""
    found = []
    for word, following in zip(arguments, [*arguments[1:], ""], strict=False):
        for option in options:
            is_short = not option.startswith("--")
            # -q is the only flag that may precede it in one word.
            name = f"-{word[1:].lstrip('q')}" if is_short and word.startswith("-q") else word
            if name == option:
                found.append(following)
            elif is_short and not word.startswith("--") and name.startswith(option):
                found.append(name.removeprefix(option).removeprefix("="))
            elif name.startswith(f"{option}="):
                found.append(name.partition("=")[2])
    return found
