"""What a worker must have as the coordinator has it: each file that a run reads, and the versions of what reads them.

The coordinator asks the engine what a run of a target reads, once a wave. A worker compares digests alone, so that one
with nothing to do never loads the engine. Variables of the environment are not compared: secrets may be where workers
are, and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from bootstrapper import __version__
from bootstrapper.config.document import expand
from bootstrapper.config.files import sha256 as sha256_of
from bootstrapper.config.run_cache import RunCache
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import FleetError

FILE, FOLDER, DISTRIBUTION, PROGRAM = "file", "folder", "distribution", "program"

_FILES = RunCache()
"""Digests of files, kept while a file is the same: this process compares them for each of its targets."""


@dataclass(frozen=True)
class Checkout:
    """What a run of one target reads.

    Attributes:
        folder: That of the file, where relative names start.
        parts: A kind and a name each, of which the name may have variables of the target; what it is is its digest: of
            the content of a file; of the Python files of a folder, at any depth; or a version.
    """

    folder: str
    parts: Mapping[tuple[str, str], str]

    def of_target(self, variables: Mapping[str, str]) -> Checkout:
        """Returns that of another target, with the files that its variables name."""
        named = {part: self._found(part, variables) for part in self.parts if "${" in part[1]}
        return replace(self, parts={**self.parts, **named}) if named else self

    @property
    def of_all(self) -> dict[str, str]:
        """What all targets have in common: the digests by their names."""
        return {name: digest for (_, name), digest in self.parts.items() if "${" not in name}

    def require_here(self, variables: Mapping[str, str]) -> None:
        """Raises FleetError for the first thing that is not the same in this process."""
        found = ((part, self._found(part, variables)) for part in self.parts)
        different = next(((part, here) for part, here in found if here != self.parts[part]), None)
        if different is None:
            return
        (kind, name), here = different
        if kind in (DISTRIBUTION, PROGRAM):
            message = f"the worker has {name} {here}, and the coordinator {self.parts[kind, name]}"
        else:
            message = f"{_expanded(name, variables)} is not what this wave began with"
        hint = "Give all workers the same files and versions; if a file was changed during the run, run again."
        raise FleetError(message, hint=hint)

    def _found(self, part: tuple[str, str], variables: Mapping[str, str]) -> str:
        return _found(part, self.folder, variables)


def _found(part: tuple[str, str], folder: str, variables: Mapping[str, str]) -> str:
    """Returns what a part is in this process."""
    kind, name = part
    if kind == PROGRAM:
        return __version__
    if kind == DISTRIBUTION:
        return _version(name)
    path = Path(folder, _expanded(name, variables))
    return _of_file(path) if kind == FILE else _of_folder(path)


def _of_file(path: Path) -> str:
    """Returns the digest of the content; of a file that cannot be read, why, which reading it for use reports."""
    try:
        return sha256_of(_FILES, path)
    except (OSError, ValueError) as error:
        return type(error).__name__


def _of_folder(path: Path) -> str:
    state = sha256()
    for file in _python_files(path):
        state.update(f"{os.path.relpath(file, path)}\0{_of_file(Path(file))}\0".encode(errors="backslashreplace"))
    return state.hexdigest()


def _python_files(folder: Path) -> Iterator[str]:
    """Follows links, as an import does."""
    known: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = sorted(name for name in folders if name != "__pycache__") if real not in known else []
        known.add(real)
        yield from (os.path.join(place, name) for name in sorted(files) if name.endswith(".py"))  # noqa: PTH118


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def _expanded(name: str, variables: Mapping[str, str]) -> str:
    try:
        return expand(name, variables).text
    except ValueError:  # a variable that this target does not have
        return name


def parts_of(names: Iterable[tuple[str, str]], folder: str, variables: Mapping[str, str]) -> Checkout:
    """Returns the parts of these names as they are now."""
    return Checkout(folder, {part: _found(part, folder, variables) for part in names})
