"""The files and variables that a run reads, as the quick look finds them again."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from bootstrapper.config.files import state_in
from bootstrapper.dataclass import dataclass
from bootstrapper.quick import inputs


@dataclass(frozen=True)
class Inputs:
    """What a run reads beside its file, as the quick look finds it again.

    Attributes:
        paths: Of files, and of folders to which files may be added.
        variables: The names of the variables of the environment.
        states: Of the paths, and of the file and its overlay, once they were read; None of one that does not exist.
            A Python file in one of the folders counts with its folder.
        since_ns: When reading began, in nanoseconds since 1970.
    """

    paths: Sequence[Path]
    variables: Sequence[str]
    states: Mapping[Path, _State | None]
    since_ns: int

    @classmethod
    def of(cls, paths: Sequence[Path], variables: Sequence[str], read: Sequence[Path], since_ns: int) -> Self:
        folders = tuple(f"{path}{os.sep}" for path in paths if path.suffix != ".py" and path.is_dir())
        alone = (path for path in paths if not (path.suffix == ".py" and str(path).startswith(folders)))
        return cls(paths, variables, {path: _state(path) for path in (*alone, *read)}, since_ns)

    def are_unchanged(self) -> bool:
        """Returns whether the files are still those that were read when the run began."""
        now = {path: _state(path) for path in self.states}
        times = [state.changed_ns for state in now.values() if state is not None]
        return now == self.states and max(times, default=0) <= self.since_ns


class _State(NamedTuple):
    """What differs once a file was written to or replaced, or once a folder has other files; and when it changed."""

    content: object
    changed_ns: int = 0


def _state(path: Path) -> _State | None:
    try:
        found = path.stat()
        return _folder_state(path) if stat.S_ISDIR(found.st_mode) else _State(state_in(found), found.st_ctime_ns)
    except (OSError, inputs.TooManyError):
        return None


def _folder_state(path: Path) -> _State:
    """Returns the state of all files that count; that of the folder itself changes as modules are compiled into it."""
    changed_ns = [0]

    def file_state(file: str) -> str:
        try:
            found = os.stat(file)  # noqa: PTH116 - a path is made for each of a thousand revisions
        except (OSError, ValueError):
            return "no file"
        if not stat.S_ISREG(found.st_mode):
            return "no file"
        changed_ns.append(found.st_ctime_ns)
        return str(state_in(found))

    return _State(inputs.tree_of(str(path), file_state), max(changed_ns))


def named_inputs(found: Inputs, start: Path) -> Iterator[tuple[str, str]]:
    """Yields what was read, each by its own name: a link on the way may lead elsewhere when it is read again."""
    within = f"{start}{os.sep}"
    folders = [path for path in found.paths if path.is_dir()]
    real = tuple(f"{path.resolve()}{os.sep}" for path in folders)
    for path in dict.fromkeys(found.paths):
        if path.suffix == ".py" and str(path).startswith(real):
            continue  # it counts with its folder
        is_within = str(path).startswith(within)
        name = str(path).removeprefix(within) if is_within else str(path.absolute())
        yield (inputs.FOLDER if path in folders else inputs.FILE, name)
    yield from ((inputs.VARIABLE, name) for name in sorted(set(found.variables)))


class Named(Mapping[str, str]):
    """A mapping of variables that notes the names it is asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)
