"""Reads a project's Alembic configuration without Alembic: alembic.ini, pyproject.toml, and the step's own options."""

from __future__ import annotations

import configparser
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Any

from bootstrapper.config.files import is_file
from bootstrapper.config.recent import Recent
from bootstrapper.dataclass import dataclass
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plugin.project import Project

_SEPARATORS = {"space": " ", "newline": "\n", "os": os.pathsep, ":": ":", ";": ";"}
_LISTS = {
    "version_locations": (("path_separator", "version_path_separator"), re.compile(r", *|(?: +)")),
    "prepend_sys_path": (("path_separator",), re.compile(r", *|(?: +)|:")),
}
"""Options with several values: the options that name their separator, and how they are split without one."""
_TABLES = Recent[str, dict[str, Any]](most=16)
_SECTIONS = Recent[tuple[str, Path, str], tuple[dict[str, str], str | None]](most=16)


class BadConfiguration(Exception):  # noqa: N818 - the caller, which knows the step, makes an error of it
    """A configuration that Alembic cannot use."""


@dataclass(frozen=True)
class Configuration:
    """The files found, and the main options as Alembic reads them.

    Attributes:
        ini: alembic.ini; None without one.
        toml: pyproject.toml with a [tool.alembic] table; None without one.
        own: The main options of the step, as text; they override those of the files.
        driver: The driver in sqlalchemy.url of alembic.ini.
        places: The files that were looked for, whether they exist or not.
    """

    ini: Path | None
    toml: Path | None
    own: Mapping[str, str] = field(hash=False)
    driver: str | None
    _texts: Mapping[str, str] = field(hash=False)
    _toml: Mapping[str, Any] = field(hash=False)
    places: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.ini, self.toml) if path is not None)

    def text(self, name: str) -> str | None:
        value = self._texts.get(name) or self._toml.get(name)
        return None if value is None else str(value)

    def flag(self, name: str) -> bool:
        """Reads a flag as Alembic does: in an ini file only `true` counts."""
        return self._texts[name] == "true" if name in self._texts else bool(self._toml.get(name))

    def several(self, name: str) -> tuple[str, ...]:
        if text := self._texts.get(name):
            return tuple(_split(name, text, self._texts))
        found = self._toml.get(name)
        return tuple(str(item) for item in found) if isinstance(found, list) else ()

    def toml_texts(self) -> dict[str, str]:
        """Returns the text options of pyproject.toml, for an Alembic that does not read it."""
        return {name: value for name, value in self._toml.items() if isinstance(value, str)}


def read(settings: MigrationSettings, project: Project) -> Configuration:
    """Reads the configuration as Alembic would in the settings' `cwd`.

    Raises BadConfiguration if a configured file is missing or not valid.
    """
    ini, toml, options = _find(settings, project)
    places = _places(settings, project)
    texts, driver = _ini_options(ini, settings.section) if ini else ({}, None)
    own = {name: _as_text(value) for name, value in settings.options.items()}
    return Configuration(ini, toml, own, driver, {**texts, **own}, options, places)


def _places(settings: MigrationSettings, project: Project) -> tuple[Path, ...]:
    if settings.config is not None:
        return (project.path(settings.config),)
    directory = project.path(settings.cwd)
    return directory / "alembic.ini", directory / "pyproject.toml"


def _find(settings: MigrationSettings, project: Project) -> tuple[Path | None, Path | None, dict[str, Any]]:
    """Returns alembic.ini, pyproject.toml if it is about Alembic, and what that says."""
    if settings.config is not None:
        named = project.path(settings.config)
        if not is_file(named):
            raise BadConfiguration(f"file {str(settings.config)!r} does not exist")
        return (None, named, _toml_options(named)) if named.suffix == ".toml" else (named, None, {})
    ini, toml = _places(settings, project)
    options = _toml_options(toml) if is_file(toml) else {}
    return ini if is_file(ini) else None, toml if options else None, options


def _toml_options(file: Path) -> dict[str, Any]:
    """Returns [tool.alembic] with its placeholders filled in."""
    try:
        text = file.read_text(encoding="utf-8")
        options = _TABLES.get(text, partial(_alembic_table, text))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{file.name}: {error}") from error
    except OSError as error:
        raise BadConfiguration(f"{file.name} cannot be read: {error.strerror or error}") from error
    here = {"here": file.absolute().parent.as_posix()}
    try:
        return {name: _fill(value, here) for name, value in options.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise BadConfiguration(f"{file.name}: [tool.alembic]: {error}") from error


def _alembic_table(text: str) -> dict[str, Any]:
    """Returns [tool.alembic] of a pyproject.toml, for which a run asks several times."""
    found: dict[str, Any] = tomllib.loads(text).get("tool", {}).get("alembic", {})
    return found


def _fill(value: object, here: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return value % here
    return [item % here if isinstance(item, str) else item for item in value] if isinstance(value, list) else value


def _ini_options(file: Path, section: str) -> tuple[dict[str, str], str | None]:
    """Returns the section's options about places of files, and the driver of its address."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadConfiguration(f"{file.name}: {error}") from error
    except OSError as error:
        raise BadConfiguration(f"{file.name} cannot be read: {error.strerror or error}") from error
    return _SECTIONS.get((text, file, section), partial(_ini_section, text, file, section))


def _ini_section(text: str, file: Path, section: str) -> tuple[dict[str, str], str | None]:
    """Returns the options of an alembic.ini, for which a run asks several times.

    Others may have placeholders that only Alembic fills in, as the address may.
    """
    parser = configparser.ConfigParser({"here": file.absolute().parent.as_posix().replace("%", "%%")})
    wanted = ("script_location", "recursive_version_locations", "sourceless", *_LISTS, *_LISTS["version_locations"][0])
    try:
        parser.read_string(text, file.name)
        found = {name: parser.get(section, name) for name in wanted if parser.has_option(section, name)}
        url = parser.get(section, "sqlalchemy.url", raw=True, fallback="")
    except configparser.Error as error:  # its later lines quote the file, which may contain a password
        raise BadConfiguration(f"{file.name}: {error.message.splitlines()[0]}") from error
    return found, url.partition("://")[0].partition("+")[2] or None


def _split(name: str, text: str, options: Mapping[str, str]) -> list[str]:
    separators, legacy = _LISTS[name]
    word = next((options[each] for each in separators if each in options), None)
    if word is None:
        return legacy.split(text)
    if word not in _SEPARATORS:
        raise BadConfiguration(f"path_separator {word!r} is not supported; use one of {', '.join(_SEPARATORS)}")
    return [part.strip() for part in text.split(_SEPARATORS[word]) if part.strip()]


def _as_text(value: str | float) -> str:
    """Returns the value as in an ini file."""
    return str(value).lower() if isinstance(value, bool) else str(value)
