"""Where an Alembic project keeps its files, read from its configuration without Alembic."""

from __future__ import annotations

import configparser
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootstrapper.migrations.packages import locate, names_package
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.step import Project

_SEPARATORS = {"space": " ", "newline": "\n", "os": os.pathsep, ":": ":", ";": ";"}
_INI_FLAGS = ("recursive_version_locations", "sourceless")
_INI_OPTIONS = (
    "script_location",
    "version_locations",
    "prepend_sys_path",
    "path_separator",
    "version_path_separator",
    *_INI_FLAGS,
)
_LEGACY_SEPARATORS = {"version_locations": re.compile(r", *|(?: +)"), "prepend_sys_path": re.compile(r", *|(?: +)|:")}
_REVISION_FILE = re.compile(r"(?!\.\#|__init__).*\.py")


class DynamicProject(Exception):  # noqa: N818 - no fault: only Alembic itself can tell
    """Something that only running the project's code would tell."""


class BadConfiguration(Exception):  # noqa: N818 - turned into an error with its place by whoever knows the step
    """A configuration that Alembic could not use either."""


@dataclass(frozen=True)
class Layout:
    """What the configuration says.

    Attributes:
        ini: alembic.ini, None where there is none.
        toml: pyproject.toml with a [tool.alembic] table, None where there is none.
        script_location: As Alembic takes it: a path, or package:folder.
        version_locations: As Alembic takes them; empty for the folder `versions` beside env.py.
        packages: The folders of those of these locations that name a package, as far as they were found.
    """

    directory: Path
    ini: Path | None
    toml: Path | None
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
    def configuration(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.ini, self.toml) if path is not None)

    def revision_files(self) -> list[Path]:
        """All revision files in the order in which Alembic reads them."""
        if self.sourceless:
            raise DynamicProject("revisions may be compiled files (sourceless)")
        places = [self._path(text) for text in self.version_locations] or [self.folder / "versions"]
        found = [path for place in places for path in _python_files(place, recursive=self.recursive)]
        return list(dict.fromkeys(found))

    def toml_texts(self) -> dict[str, str]:
        """The options of pyproject.toml that are text, for an Alembic that does not read it."""
        found = toml_options(self.toml) if self.toml else {}
        return {name: value for name, value in found.items() if isinstance(value, str)}

    def _path(self, text: str) -> Path:
        if not names_package(text):
            return self.directory / text
        found = dict(self.packages).get(text)
        if found is None:
            raise DynamicProject(f"{text} is in no package that can be found without importing it")
        return found


def _python_files(place: Path, *, recursive: bool) -> list[Path]:
    """Resolved, since two places may lead to the same file; links are looked up, the rest goes by its folder."""
    place = place.resolve()
    found: list[Path] = []
    folders = [place] if place.is_dir() else []
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        files = [entry for entry in entries if _REVISION_FILE.fullmatch(entry.name) and not entry.is_dir()]
        found += [Path(entry.path).resolve() if entry.is_symlink() else Path(entry.path) for entry in files]
        if recursive:
            below = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
            folders += [Path(entry.path) for entry in reversed(below) if entry.name != "__pycache__"]
    return found


def read(settings: MigrationSettings, project: Project) -> Layout:
    """Reads the configuration as Alembic would, started in the settings' `cwd`.

    Raises:
        BadConfiguration: A named file is missing or no configuration, or nothing says where the scripts are.
    """
    directory = project.path(settings.cwd)
    ini, toml = _find(settings, project)
    options = {**(toml_options(toml) if toml else {}), **(_ini_options(ini, settings.section) if ini else {})}
    location = _own_location(settings, project) or options.get("script_location")
    if not location:
        raise BadConfiguration(f"no script_location here or in {settings.config or 'alembic.ini or pyproject.toml'}")
    version_locations = tuple(options.get("version_locations") or ())
    layout = Layout(
        directory,
        ini,
        toml,
        str(location),
        version_locations,
        recursive=bool(options.get("recursive_version_locations")),
        sourceless=bool(options.get("sourceless")),
        packages=locate(settings, project, [str(location), *version_locations], options.get("prepend_sys_path") or ()),
    )
    _require_environment(layout)
    return layout


def _own_location(settings: MigrationSettings, project: Project) -> str | None:
    """A path of the settings starts at the file that names it; a package stays as it is."""
    location = settings.script_location
    return location if location is None or ":" in location else str(project.path(location))


def _require_environment(layout: Layout) -> None:
    try:
        folder = layout.folder
    except DynamicProject:
        return
    if not (folder / "env.py").is_file():
        raise BadConfiguration(f"no env.py in {layout.script_location}")


def _find(settings: MigrationSettings, project: Project) -> tuple[Path | None, Path | None]:
    if settings.config is not None:
        named = project.path(settings.config)
        if not named.is_file():
            raise BadConfiguration(f"no file {settings.config}")
        return (None, named) if named.suffix == ".toml" else (named, None)
    directory = project.path(settings.cwd)
    ini, toml = directory / "alembic.ini", directory / "pyproject.toml"
    return ini if ini.is_file() else None, toml if toml.is_file() and toml_options(toml) else None


def toml_options(file: Path) -> dict[str, Any]:
    """[tool.alembic] with its placeholders filled in."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{file.name}: {error}") from error
    options = tables.get("tool", {}).get("alembic", {})
    here = {"here": file.absolute().parent.as_posix()}
    try:
        return {name: _fill(value, here) for name, value in options.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise BadConfiguration(f"{file.name}: [tool.alembic]: {error}") from error


def _fill(value: object, here: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return value % here
    return [item % here if isinstance(item, str) else item for item in value] if isinstance(value, list) else value


def _ini_options(file: Path, section: str) -> dict[str, Any]:
    """The section's options that say where files are."""
    parser = configparser.ConfigParser({"here": file.absolute().parent.as_posix().replace("%", "%%")})
    try:
        parser.read_string(file.read_text(encoding="utf-8"), file.name)
        found: dict[str, Any] = {
            name: parser.get(section, name) for name in _INI_OPTIONS if parser.has_option(section, name)
        }
    except UnicodeDecodeError as error:
        raise BadConfiguration(f"{file.name}: {error}") from error
    except configparser.Error as error:  # its later lines quote the file, where a password may stand
        raise BadConfiguration(f"{file.name}: {error.message.splitlines()[0]}") from error
    separator = found.get("path_separator")
    separators = {
        "version_locations": separator or found.get("version_path_separator"),
        "prepend_sys_path": separator,
    }
    for name, separator in separators.items():
        if found.get(name):
            found[name] = _split(name, found[name], separator)
    return {name: value == "true" if name in _INI_FLAGS else value for name, value in found.items()}


def _split(name: str, text: str, separator: str | None) -> list[str]:
    if separator is None:
        return _LEGACY_SEPARATORS[name].split(text)
    if separator not in _SEPARATORS:
        raise BadConfiguration(f"{separator!r} is no path_separator; Alembic knows {', '.join(_SEPARATORS)}")
    return [part.strip() for part in text.split(_SEPARATORS[separator]) if part.strip()]
