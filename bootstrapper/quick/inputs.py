"""The digest of the files and variables that a run reads besides the file itself.

They are named by the record, as pairs of a kind and a name, so that nothing has to be understood to find them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from hashlib import file_digest, sha256

FILE, FOLDER, VARIABLE = "file", "folder", "variable"
_MOST_NAMES = 10_000


class TooManyError(Exception):
    """A folder holds more than a quick look looks through."""


def digest(inputs: Iterable[tuple[str, str]], folder: str, variables: Mapping[str, str]) -> str:
    """Returns the SHA-256 in hex over the inputs as they are now.

    Args:
        inputs: A file counts by its content, a folder by the names of its Python files and folders, at any depth, a
            variable by its value. What does not exist counts as that.
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
            return names_in(path)
        if not os.path.isfile(path):
            return "no file"
        with open(path, "rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return type(error).__name__


def names_in(folder: str) -> str:
    """Returns the names of the Python files and the folders below a folder; raises TooManyError."""
    return "\0".join(_names(folder))


def _names(folder: str) -> Iterator[str]:
    count = 0
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        found = sorted(name for name in files if name.endswith(".py"))
        count += len(folders) + len(files)
        if count > _MOST_NAMES:
            raise TooManyError(folder)
        yield f"{os.path.relpath(place, folder)}: {folders} {found}"
