"""Replaces this process by another program, which finds the process as it was when bootstrapper started."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from bootstrapper.errors import UsageError
from bootstrapper.programs.signals import restore_signals

_LONGEST_SHEBANG = 256  # bytes, of Linux
_COERCED = "LC_CTYPE"


def find_program(name: str, variables: Mapping[str, str]) -> str:
    """Returns the path of a program that can be started; raises UsageError if there is none."""
    found = shutil.which(name, path=variables.get("PATH", os.defpath))
    if found is None:
        raise _missing(name)
    interpreter = _interpreter(Path(found))
    if interpreter is not None and not Path(interpreter).exists():
        shown = interpreter.replace("\r", "\\r")
        raise UsageError(
            f"cannot start {name!r}: its first line names {shown}, which does not exist",
            hint=f"Correct the first line of {found}.",
        )
    return found


def _missing(name: str) -> UsageError:
    path, said = Path(name), f"cannot start {name!r}"
    if re.search(r"\s", name):
        return UsageError(f"{said}: no such program", hint='Pass each argument as a word, or use sh -c "...".')
    if "/" not in name:
        return UsageError(f"{said}: not found in PATH", hint="Install it, or give its path.")
    if path.is_dir():
        return UsageError(f"{said}: a directory", hint="Give the path of a program in it.")
    if path.exists():
        return UsageError(f"{said}: not executable", hint=f"Run `chmod +x {name}`, or name its interpreter first.")
    return UsageError(f"{said}: no such file", hint="Correct its path, or that of the working directory.")


def _interpreter(program: Path) -> str | None:
    """Returns the interpreter of a script; None for other programs, and for one that cannot be read."""
    with suppress(OSError), program.open("rb") as file:
        first = file.readline(_LONGEST_SHEBANG)
        if first.startswith(b"#!") and (words := re.split(rb"[ \t]+", first[2:].strip(b" \t\n"))):
            return os.fsdecode(words[0]) or None
    return None


def finish_process() -> None:
    """Does what the interpreter does at its end: joins threads, runs exit functions, flushes the streams."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


def replace_process(program: str, arguments: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Becomes the program, with the same process id, descriptors, working directory and umask.

    Args:
        program: A path.
        arguments: With the name of the program first.

    Raises UsageError if the system refuses it, such as a binary of another architecture.
    """
    environment = _as_given(variables)
    finish_process()
    restore_signals()
    try:
        os.execve(program, list(arguments), environment)  # noqa: S606 - no shell
    except OSError as error:
        refused = UsageError(
            f"the database is ready, but {arguments[0]!r} cannot be started: {error.strerror}",
            hint="Check the program's format and its first line.",
        )
        refused.is_reported = True  # the report of the run stays
        raise refused from error


def _as_given(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables without the one that Python adds to its own environment in the C locale (PEP 538)."""
    given = dict(variables)
    with suppress(OSError):
        at_start = Path("/proc/self/environ").read_bytes().split(b"\0")
        if not any(entry.startswith(f"{_COERCED}=".encode()) for entry in at_start):
            given.pop(_COERCED, None)
    return given
