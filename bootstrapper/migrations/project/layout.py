"""The places of an Alembic project's files, read from its configuration without Alembic."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from bootstrapper.config.files import is_file, is_folder
from bootstrapper.config.recent import Recent
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import InvalidFileError, Problem
from bootstrapper.migrations.project import configuration
from bootstrapper.migrations.project.configuration import BadConfiguration, Configuration
from bootstrapper.migrations.project.drivers import Engine
from bootstrapper.migrations.project.env_py import engine_kind, sets_version_locations
from bootstrapper.migrations.project.packages import locate, names_package
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plugin.project import Project

_PATHS = Recent[tuple[str, ...], Sequence[Path]](most=8)
"""A run lists its folders several times, and making the paths takes longer than that."""
_REVISION_FILE = re.compile(r"(?!\.\#|__init__).*\.py")


class DynamicProject(Exception):  # noqa: N818 - not an error: Alembic has to be asked
    """The answer requires running the project's code."""


@dataclass(frozen=True)
class Layout:
    """The places that the configuration names.

    Attributes:
        directory: The start of relative paths.
        script_location: As in Alembic: a path, or package:folder.
        version_locations: As in Alembic; empty for the folder `versions` beside env.py.
        packages: The folders of locations that name a package, as far as they were found.
    """

    configuration: Configuration
    directory: Path
    script_location: str
    version_locations: tuple[str, ...] = ()
    recursive: bool = False
    sourceless: bool = False
    packages: tuple[tuple[str, Path], ...] = ()

    @property
    def folder(self) -> Path:
        """The folder with env.py; raises DynamicProject if a package would have to be imported to find it."""
        return self._path(self.script_location)

    @property
    def version_folders(self) -> list[Path]:
        """The folders with the revisions; raises DynamicProject as `folder` does."""
        return [self._path(text) for text in self.version_locations] or [self.folder / "versions"]

    def revision_files(self) -> list[Path]:
        """Returns all revision files, in the order in which Alembic reads them.

        Raises DynamicProject if there may be others, and if there are none: env.py may add some.
        """
        if self.sourceless:
            raise DynamicProject("revisions may be compiled files (sourceless)")
        if self.is_set_by_environment:
            raise DynamicProject("env.py sets version_locations")
        found = [path for place in self.version_folders for path in _python_files(place, recursive=self.recursive)]
        if not found:
            raise DynamicProject(f"no revisions in {self.places}")
        return list(dict.fromkeys(found))

    @property
    def is_set_by_environment(self) -> bool:
        """Whether env.py itself sets the version folders, and the step does not."""
        file = self._environment
        return file is not None and "version_locations" not in self.configuration.own and sets_version_locations(file)

    @property
    def engine(self) -> Engine | None:
        """The kind of engine that env.py creates; None if its text does not show it."""
        return None if self._environment is None else engine_kind(self._environment)

    @property
    def _environment(self) -> Path | None:
        try:
            return self.folder / "env.py"
        except DynamicProject:
            return None

    @property
    def places(self) -> str:
        """The folders of revisions, for messages."""
        return ", ".join(self.version_locations) or f"{_shown(self.script_location, self.directory)}/versions"

    def _path(self, text: str) -> Path:
        if not names_package(text):
            return self.directory / text
        found = dict(self.packages).get(text)
        if found is None:
            raise DynamicProject(f"the package of {text} cannot be located without importing it")
        return found


def _shown(location: str, directory: Path) -> str:
    """Shortens a path inside the folder of the project."""
    path = Path(location)
    return str(path.relative_to(directory)) if path.is_relative_to(directory) else location


def _python_files(place: Path, *, recursive: bool) -> Sequence[Path]:
    """Returns resolved paths, since two folders may contain the same file by a link."""
    found: list[str] = []
    folders = [os.path.realpath(place)] if is_folder(place) else []  # Path.resolve raises for a name that is too long
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            raise InvalidFileError([Problem(f"{folder} cannot be read: {error.strerror or error}")]) from error
        files = [entry for entry in entries if _REVISION_FILE.fullmatch(entry.name) and not entry.is_dir()]
        found += [os.path.realpath(entry.path) if entry.is_symlink() else entry.path for entry in files]
        if recursive:
            below = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
            folders += [entry.path for entry in reversed(below) if entry.name != "__pycache__"]
    return _PATHS.get(tuple(found), lambda: [Path(path) for path in found])


def read(settings: MigrationSettings, project: Project) -> Layout:
    """Reads the configuration as Alembic would in the settings' `cwd`.

    Raises BadConfiguration if a configured file is missing or not valid, if script_location is not set, or if its files
    do not exist.
    """
    found = configuration.read(settings, project)
    location = _own_location(settings, project) or found.text("script_location")
    if not location:
        raise BadConfiguration(
            f"script_location is not set, here or in {settings.config or 'alembic.ini or pyproject.toml'}"
        )
    versions = found.several("version_locations")
    layout = Layout(
        found,
        project.path(settings.cwd),
        location,
        versions,
        recursive=found.flag("recursive_version_locations"),
        sourceless=found.flag("sourceless"),
        packages=locate(settings, project, [location, *versions], found.several("prepend_sys_path")),
    )
    _require_files(layout)
    return layout


def _own_location(settings: MigrationSettings, project: Project) -> str | None:
    """A path in the settings starts at the folder of the file; a package is returned unchanged."""
    location = settings.script_location
    return location if location is None or names_package(location) else str(project.path(location))


def _require_files(layout: Layout) -> None:
    """Alembic itself ignores a version folder that does not exist."""
    try:
        folder, places = layout.folder, layout.version_folders
    except DynamicProject:
        return
    if not is_file(folder / "env.py"):
        raise BadConfiguration(f"{layout.script_location} has no env.py")
    for text, place in zip(layout.version_locations, places, strict=False):
        if not is_folder(place):
            raise BadConfiguration(f"folder {text} of version_locations does not exist")
