"""Finds the folders that `package:folder` stands for, without importing the package, which may take a minute."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bootstrapper.config.files import is_folder
from bootstrapper.config.run_cache import Kept
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.worker import request
from bootstrapper.plugin.project import Project

LONGEST_SECONDS = 20.0
"""For an interpreter to start and to search some folders."""

_LOCATOR = Path(__file__).with_name("locator.py")


class _Question(NamedTuple):
    python: str | None
    cwd: Path
    variables: tuple[tuple[str, str], ...]
    locations: tuple[str, ...]
    before: tuple[str, ...]


_FOLDERS = Kept[_Question, tuple[tuple[str, Path], ...]]()


def names_package(location: str) -> bool:
    """Whether a location names a package."""
    return ":" in location and not Path(location).is_absolute()


def locate(
    settings: MigrationSettings, project: Project, locations: Sequence[str], before: Sequence[str]
) -> tuple[tuple[str, Path], ...]:
    """Returns the folder of each location that names a package; those that are not found are left out.

    The answer is kept for the run, since it requires starting the project's interpreter.

    Args:
        before: Folders that Alembic puts first in the search path.
    """
    wanted = tuple(dict.fromkeys(location for location in locations if names_package(location)))
    if not wanted:
        return ()
    question = _Question(settings.python, settings.cwd, tuple(sorted(settings.env.items())), wanted, tuple(before))
    known = project.cache.of(_FOLDERS)
    if question not in known:
        folders = _ask(settings, project, [location.partition(":")[0] for location in wanted], before)
        found = ((location, _folder(location, folders)) for location in wanted)
        known[question] = tuple((location, folder) for location, folder in found if folder is not None)
    return known[question]


def _folder(location: str, folders: dict[str, list[str]]) -> Path | None:
    """A package may have several folders; Alembic takes the first one that contains the path."""
    package, *parts = location.split(":")
    places = [Path(folder, *parts) for folder in folders.get(package, [])]
    return next((place for place in places if is_folder(place)), None)


def _ask(
    settings: MigrationSettings, project: Project, packages: Sequence[str], before: Sequence[str]
) -> dict[str, list[str]]:
    """Returns nothing if the interpreter fails: its error is reported when Alembic is started."""
    try:
        ended = subprocess.run(
            [request.interpreter(settings, project), str(_LOCATOR)],
            input=json.dumps({"packages": list(packages), "before": list(before)}).encode(),
            capture_output=True,
            cwd=project.path(settings.cwd),
            env={**project.variables, **settings.env},
            timeout=LONGEST_SECONDS,
            check=False,
        )
        answer: dict[str, list[str]] = json.loads(ended.stdout.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        return {}
    return answer
