"""The digest of the files and variables that a run reads besides the file itself.

They are named by the record, as pairs of a kind and a name, so that nothing has to be understood to find them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256

from bootstrapper.config.content_digest import content_digest

FILE, FOLDER, VARIABLE = "file", "folder", "variable"
_MOST_NAMES = 10_000
_COMPILED = "__pycache__"


class TooManyError(Exception):
    """A folder holds more than a quick look looks through."""


def digest(inputs: Iterable[tuple[str, str]], folder: str, variables: Mapping[str, str]) -> str:
    """Returns the SHA-256 in hex over the inputs as they are now.

    Args:
        inputs: A file counts by its content, a folder by its Python files, with their names and contents, and its
            folders, at any depth, and by whether others may write to them; a variable by its value. What does not exist
            counts as that.
        folder: Where relative paths start.
    """
    state = sha256()
    for kind, name in inputs:
        state.update(f"{kind} {name}\0{_found(kind, name, folder, variables)}\0".encode(errors="backslashreplace"))
    return state.hexdigest()


def _found(kind: str, name: str, folder: str, variables: Mapping[str, str]) -> str:
    if kind == VARIABLE:
        return repr(variables.get(name))
    path = os.path.join(folder, name)
    try:
        if kind == FOLDER:
            return tree_of(path, content_of)
        return content_of(path)
    except OSError as error:
        return type(error).__name__


def content_of(path: str) -> str:
    """Returns what a file counts by."""
    if not os.path.isfile(path):
        return "no file"
    with open(path, "rb", buffering=0) as file:
        return f"{_is_shared(os.fstat(file.fileno()))} {content_digest(file)}"


def tree_of(folder: str, file: Callable[[str], str]) -> str:
    """Returns what a folder counts by, given what each file does; raises TooManyError."""
    return "\0".join(_tree(folder, file))


def _tree(folder: str, file: Callable[[str], str]) -> Iterator[str]:
    """Follows links: a module may be imported through one."""
    count = 0
    for place, folders, files in os.walk(folder, followlinks=True):
        is_shared = any(_is_shared(os.stat(each)) for each in (place, *_compiled(place, folders)))
        folders[:] = sorted(name for name in folders if name != _COMPILED)
        count += len(folders) + len(files)
        if count > _MOST_NAMES:
            raise TooManyError(folder)
        yield f"{os.path.relpath(place, folder)}: {is_shared} {folders}"
        for name in sorted(name for name in files if name.endswith(".py")):
            yield f"{name}: {file(os.path.join(place, name))}"


def _compiled(place: str, folders: Iterable[str]) -> Iterator[str]:
    """Yields the folder of compiled modules if there is one; what is in it counts by the sources alone."""
    if _COMPILED in folders:
        yield os.path.join(place, _COMPILED)


def _is_shared(found: os.stat_result) -> bool:
    """Returns whether others may write to it, for which plugins of a protected environment are refused."""
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
