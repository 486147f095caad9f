"""Where an Alembic project keeps its files, read from its configuration without Alembic."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from bootstrapper.config.files import is_file, is_folder
from bootstrapper.errors import InvalidFileError, Problem
from bootstrapper.migrations.project import configuration
from bootstrapper.migrations.project.configuration import BadConfiguration, Configuration
from bootstrapper.migrations.project.drivers import Engine
from bootstrapper.migrations.project.env_py import engine_kind, sets_version_locations
from bootstrapper.migrations.project.packages import locate, names_package
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plugin.project import Project

_REVISION_FILE = re.compile(r"(?!\.\#|__init__).*\.py")


class DynamicProject(Exception):  # noqa: N818 - no fault: only Alembic itself can tell
    """Something that only running the project's code would tell."""


@dataclass(frozen=True)
class Layout:
    """Where the configuration says that the files are.

    Attributes:
        directory: Where relative paths start.
        script_location: As Alembic takes it: a path, or package:folder.
        version_locations: As Alembic takes them; empty for the folder `versions` beside env.py.
        packages: The folders of those of these locations that name a package, as far as they were found.
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
        """The folder with env.py; raises DynamicProject where only importing a package would tell."""
        return self._path(self.script_location)

    @property
    def version_folders(self) -> list[Path]:
        """The folders with the revisions; raises DynamicProject as `folder` does."""
        return [self._path(text) for text in self.version_locations] or [self.folder / "versions"]

    def revision_files(self) -> list[Path]:
        """All revision files in the order in which Alembic reads them.

        Raises DynamicProject where there may be others, and where there are none: env.py may know of some.
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
        """Whether env.py itself says where the revisions are, and the step does not."""
        file = self._environment
        return file is not None and "version_locations" not in self.configuration.own and sets_version_locations(file)

    @property
    def engine(self) -> Engine | None:
        """The kind of engine that env.py makes, as far as its text tells."""
        return None if self._environment is None else engine_kind(self._environment)

    @property
    def _environment(self) -> Path | None:
        try:
            return self.folder / "env.py"
        except DynamicProject:
            return None

    @property
    def places(self) -> str:
        """Where the configuration says that the revisions are, for people."""
        return ", ".join(self.version_locations) or f"{_shown(self.script_location, self.directory)}/versions"

    def _path(self, text: str) -> Path:
        if not names_package(text):
            return self.directory / text
        found = dict(self.packages).get(text)
        if found is None:
            raise DynamicProject(f"the package of {text} cannot be located without importing it")
        return found


def _shown(location: str, directory: Path) -> str:
    """A path in the folder that the project is run in, as it is written there."""
    path = Path(location)
    return str(path.relative_to(directory)) if path.is_relative_to(directory) else location


def _python_files(place: Path, *, recursive: bool) -> list[Path]:
    """Resolved, since two places may lead to the same file; links are looked up, the rest goes by its folder."""
    place = Path(os.path.realpath(place))  # Path.resolve raises for a name that is too long
    found: list[Path] = []
    folders = [place] if is_folder(place) else []
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            raise InvalidFileError([Problem(f"{folder} cannot be read: {error.strerror or error}")]) from error
        files = [entry for entry in entries if _REVISION_FILE.fullmatch(entry.name) and not entry.is_dir()]
        found += [Path(os.path.realpath(entry.path)) if entry.is_symlink() else Path(entry.path) for entry in files]
        if recursive:
            below = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
            folders += [Path(entry.path) for entry in reversed(below) if entry.name != "__pycache__"]
    return found


def read(settings: MigrationSettings, project: Project) -> Layout:
    """Reads the configuration as Alembic would, started in the settings' `cwd`.

    Raises BadConfiguration where a named file is missing or no configuration, nothing says where the scripts are, or
    they are not there.
    """
    found = configuration.read(settings, project)
    location = _own_location(settings, project) or found.text("script_location")
    if not location:
        raise BadConfiguration(f"no script_location here or in {settings.config or 'alembic.ini or pyproject.toml'}")
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
    """A path of the settings starts at the file that names it; a package stays as it is."""
    location = settings.script_location
    return location if location is None or names_package(location) else str(project.path(location))


def _require_files(layout: Layout) -> None:
    """Alembic itself passes over a folder of revisions that is not there."""
    try:
        folder, places = layout.folder, layout.version_folders
    except DynamicProject:
        return
    if not is_file(folder / "env.py"):
        raise BadConfiguration(f"no env.py in {layout.script_location}")
    for text, place in zip(layout.version_locations, places, strict=False):
        if not is_folder(place):
            raise BadConfiguration(f"folder {text} of version_locations does not exist")
