"""Loads the file with its overlay and its variables, and validates the whole with all its problems at once."""

from __future__ import annotations

import os.path
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from bootstrapper.config.document import Document, Place, read, validation
from bootstrapper.config.document.envfile import read_variables
from bootstrapper.config.document.overlay import lay_over
from bootstrapper.config.fleet import FleetConfig
from bootstrapper.config.models import (
    Config,
    DatabaseConfig,
    EnvironmentConfig,
    FixtureConfig,
    LedgerConfig,
    LimitsConfig,
    StepConfig,
)
from bootstrapper.config.partial import makeshift
from bootstrapper.config.rules import contradictions
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import BootstrapperError, InvalidFileError, Problem, Source, UnknownEnvironmentError

OPTIONAL = "?"
"""Ends the name of an env file that may be missing."""

_LATE = {"steps": ("with", "when", "check"), "fixtures": ("rows", "defaults", "when")}
"""Keys that stay as the file writes them; their variables are resolved where they are used."""

_SECTIONS: Mapping[str, type[BaseModel]] = {
    "steps": StepConfig,
    "fixtures": FixtureConfig,
    "ledger": LedgerConfig,
    "limits": LimitsConfig,
    "fleet": FleetConfig,
}


@dataclass(frozen=True)
class Loaded:
    """A file that was read and whose outer shape is right.

    Attributes:
        directory: The file's folder, absolute; relative paths start here.
        files: Everything that was read: the file, its overlay, its env files, also those that may be missing and are.
        variables: The given ones over those of the env files.
        problems: What is wrong; `load` lets none of these pass.
        misshapen: Places where `config` has a stand-in, since the file's own value is not valid there.
    """

    config: Config
    document: Document
    directory: Path
    files: tuple[Path, ...]
    environment: str | None
    protected: bool
    variables: Mapping[str, str]
    problems: tuple[Problem, ...] = ()
    misshapen: frozenset[Place] = frozenset()


def load(file: Path, environment: str | None, variables: Mapping[str, str]) -> Loaded:
    """Returns what `read_all` returns, but raises InvalidFileError with all problems."""
    loaded = read_all(file, environment, variables)
    if loaded.problems:
        raise InvalidFileError(loaded.problems)
    return loaded


def read_all(file: Path, environment: str | None, variables: Mapping[str, str]) -> Loaded:
    """Reads the file and the overlay of the named environment.

    Raises:
        InvalidFileError: A file cannot be read. All other problems are left to the caller, who may find more.
        UnknownEnvironmentError: Where the file declares environments and none of them was named, or a wrong one.
    """
    main = read(file)
    chosen = _choose(main, file, environment, variables)
    reading = _Reading(file, main, dict(variables))
    reading.read_beside(chosen, environment)
    config = reading.config()
    return Loaded(
        config,
        reading.document,
        file.absolute().parent,
        tuple(reading.files),
        environment,
        chosen.protected,
        reading.variables,
        tuple(dict.fromkeys(reading.problems)),
        reading.misshapen,
    )


def files_read(file: Path, environment: str | None, variables: Mapping[str, str]) -> Sequence[Path]:
    """Returns the file, its overlay and its env files, as far as they are known if one of them is invalid."""
    reading = None
    try:
        main = read(file)
        chosen = _choose(main, file, environment, variables)
        reading = _Reading(file, main, dict(variables))
        reading.read_beside(chosen, environment)
    except BootstrapperError:
        pass  # reported where the files are read for use
    return [file] if reading is None else reading.files


@cache
def _environments_adapter() -> TypeAdapter[dict[str, EnvironmentConfig]]:
    return TypeAdapter(dict[str, EnvironmentConfig])


def _choose(document: Document, file: Path, name: str | None, variables: Mapping[str, str]) -> EnvironmentConfig:
    raw = _environments(document.expanded_into([], ("environments",), variables))
    try:
        declared = _environments_adapter().validate_python(raw) if raw != {} else {}  # most files have none
    except ValidationError:
        reading = _Reading(file, document, dict(variables))
        reading.config()
        raise InvalidFileError(reading.problems) from None  # says so, with everything else that is wrong
    if name is None and not declared:
        return EnvironmentConfig()
    if name is None or name not in declared:
        raise UnknownEnvironmentError(name, list(declared))
    return declared[name]


class _Reading:
    """One load under way; collects problems instead of raising them one by one."""

    def __init__(self, file: Path, document: Document, variables: dict[str, str]) -> None:
        self.file = file
        self.document = document
        self.variables = variables
        self.files = [file]
        self.problems: list[Problem] = []
        self.misshapen: frozenset[Place] = frozenset()

    def read_beside(self, chosen: EnvironmentConfig, environment: str | None) -> None:
        """Reads the overlay and the env files of the environment."""
        if chosen.file is not None:
            self.lay_over(chosen.file, ("environments", str(environment), "file"))
        if not chosen.protected:
            self.read_env_files()

    def lay_over(self, name: str, place: Place) -> None:
        """Lays the environment's file over the main one."""
        path = self.file.parent / name
        source = self.document.source(place)
        self.files.append(path)
        try:
            overlay = read(path)
        except InvalidFileError as error:
            raise InvalidFileError(_located(error, source)) from error
        self.document, problems = lay_over(self.document, overlay)
        self.problems += problems

    def read_env_files(self) -> None:
        """Adds what the env files say; later files win over earlier ones, the given variables over all."""
        found: dict[str, str] = {}
        names = self.document.expanded_into([], ("env_files",), self.variables)
        for number, name in enumerate(names if isinstance(names, list) else []):
            place: Place = ("env_files", number)
            if not isinstance(name, str):
                continue
            path = self.file.parent / self._from_here(place, name.removesuffix(OPTIONAL))
            self.files.append(path)
            if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises for a name that is too long
                if not name.endswith(OPTIONAL):  # a developer's own file, which a fresh clone does not have
                    hint = f"Write the file, or {name}{OPTIONAL} for one that may be missing."
                    self.problems.append(Problem(f"file {path} does not exist", self.document.source(place), hint))
                continue
            try:
                found |= read_variables(path)
            except InvalidFileError as error:
                self.problems += _located(error, self.document.source(place))
        self.variables = {**found, **self.variables}

    def config(self) -> Config:
        """Returns the validated whole; notes what is wrong, and leaves it out or fills it in to check the rest."""
        raw = self._raw()
        self.problems += self.document.malformed()
        self.problems += contradictions(raw, self.document)
        if any(contradictions({"fixtures": raw.get("fixtures")}, self.document)):
            self.misshapen |= {("fixtures",)}
        unset = {problem.source for problem in self.problems}
        try:
            return Config.model_validate(raw)
        except ValidationError as error:
            found = validation.problems(error, Config, self.document, ())
            self.problems += [problem for problem in found if problem.source not in unset]
            unknown = [details["loc"] for details in error.errors() if details["type"] == "extra_forbidden"]
        config, misshapen = makeshift(_without(raw, unknown))
        self.misshapen |= misshapen
        return config

    def _raw(self) -> dict[str, Any]:
        """Returns the data with variables replaced that are needed now; a key without a value counts as absent."""
        written = _present(self.document.data, Config)
        sections = ((key, value, self._section(key)) for key, value in written.items())
        raw = {key: section for key, value, section in sections if not (section == "" != value)}
        raw.setdefault("name", _default_name(self.file))
        return raw

    def _section(self, key: str) -> Any:
        value = self.document.data[key]
        if key == "database":
            return _present(value, DatabaseConfig)
        if key in _LATE:
            return self._entries(key, value)
        expanded = self.document.expanded_into(self.problems, (key,), self.variables)
        if key == "environments":
            return _environments(expanded)
        if key in ("plugins", "env_files") and isinstance(expanded, list):
            return [self._from_here((key, number), item) for number, item in enumerate(expanded)]
        return _present(expanded, _SECTIONS.get(key))

    def _entries(self, key: str, value: Any) -> Any:
        """Steps or fixtures, with what is resolved late left alone."""
        if isinstance(value, list) and key == "steps":
            return [self._entry(key, number, item) for number, item in enumerate(value)]
        if isinstance(value, dict) and key == "fixtures":
            return {name: self._entry(key, name, item) for name, item in value.items()}
        return value

    def _entry(self, section: str, name: str | int, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        place: Place = (section, name)
        entry: dict[str, Any] = {}
        for key, item in value.items():
            late = key in _LATE[section]
            found = item if late else self.document.expanded_into(self.problems, (*place, key), self.variables)
            if not (found == "" != item):
                entry[key] = self._from_here((*place, key), found) if key == "file" else found
        return _present(entry, _SECTIONS[section])

    def _from_here(self, place: Place, text: Any) -> Any:
        """Returns a path of an overlay, which starts at the overlay, as one that starts at the main file."""
        folder = Path(self.document.source(place).file).parent
        is_path = isinstance(text, str) and (place[0] != "plugins" or "/" in text)
        if folder == self.file.parent or not is_path or Path(text).is_absolute():
            return text
        return f"./{os.path.relpath(folder / text, self.file.parent)}"


def _without(raw: Any, places: Sequence[Place]) -> Any:
    """Returns the data without what stands at these places."""
    if isinstance(raw, dict):
        inner = {key: [place[1:] for place in places if place[:1] == (key,)] for key in raw}
        return {key: _without(item, inner[key]) for key, item in raw.items() if () not in inner[key]}
    if isinstance(raw, list):
        return [
            _without(item, [place[1:] for place in places if place[:1] == (number,)]) for number, item in enumerate(raw)
        ]
    return raw


def _present(value: Any, model: type[BaseModel] | None) -> Any:
    """Returns a section without its keys that have no value; an unknown key stays, and becomes a problem."""
    if not isinstance(value, dict) or model is None:
        return value
    known = {field.alias or name for name, field in model.model_fields.items()}
    return {key: item for key, item in value.items() if item is not None or key not in known}


def _environments(value: Any) -> Any:
    """Returns the environments with an empty mapping for each that is declared by its name alone."""
    if not isinstance(value, dict):
        return {} if value in (None, "") else value
    return {name: {} if item is None else _present(item, EnvironmentConfig) for name, item in value.items()}


def _default_name(file: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", file.absolute().parent.resolve().name).lstrip(".-")
    return name[:63] or "bootstrapper"


def _located(error: InvalidFileError, source: Source) -> list[Problem]:
    """Returns the problems of an unreadable file, placed at the line that names it."""
    return [
        problem if problem.source else replace(problem, source=source, hint="Correct the name, or write the file.")
        for problem in error.problems
    ]
