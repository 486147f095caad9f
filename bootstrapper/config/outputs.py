"""Checks the output files of a command before it does anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from bootstrapper.errors import UsageError

_LONGEST = 500
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def require_writable(
    path: Path,
    *,
    overwrite: bool = False,
    is_ours: Callable[[Path], bool] = lambda path: False,
    inputs: Iterable[Path] = (),
    makes_folder: bool = False,
) -> None:
    """Raises UsageError if the file cannot be written, or would take the place of something that is to stay.

    An empty file may be replaced: it is what mktemp makes.

    Args:
        overwrite: Whether other files may be replaced, too. Nothing but regular files ever is.
        is_ours: Whether a file that is there was made by this tool, for the same purpose.
        inputs: Files that the command reads, which are never replaced.
        makes_folder: Whether the folder is made where it is missing.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        _require_folder(path, makes_folder=makes_folder)
        return
    except OSError as error:
        raise _cannot(path, error.strerror or str(error)) from error
    kind = next((named for is_kind, named in _KINDS if is_kind(found.st_mode)), None)
    if kind is not None:
        raise _cannot(path, f"it is {kind}", hint="Name a regular file.")
    if any(_is_same(found, each) for each in inputs):
        raise UsageError(f"{path} is an input of this command and would be overwritten", hint="Name another file.")
    if found.st_size and not overwrite and not is_ours(path):
        raise UsageError(f"{path} already exists", hint="Name another file, or pass --overwrite.")
    if not os.access(path, os.W_OK):
        raise _cannot(path, "permission denied")


def _require_folder(path: Path, *, makes_folder: bool) -> None:
    folder = path.parent
    try:
        is_there = folder.is_dir()
    except OSError as error:
        raise _cannot(path, error.strerror or str(error)) from error
    if is_there and not os.access(folder, os.W_OK | os.X_OK):
        raise _cannot(path, f"cannot create a file in {shown(folder)}")
    if not is_there and not makes_folder:
        raise _cannot(path, f"folder {shown(folder)} does not exist", hint="Make the folder first.")


def _is_same(found: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(found, path.stat())
    except OSError:
        return False


def _cannot(path: Path, why: str, hint: str | None = None) -> UsageError:
    return UsageError(f"{shown(path)} cannot be written: {why}", hint=hint)


def shown(path: Path) -> str:
    """Returns the path, cut if it is very long, since its length may be what is wrong with it."""
    text = str(path)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"
