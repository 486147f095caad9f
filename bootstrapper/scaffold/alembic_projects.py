"""The Alembic projects in a folder: their configuration files, and env.py files that no configuration names."""

from __future__ import annotations

import configparser
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from bootstrapper.config import document
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import UsageError
from bootstrapper.migrations.project import layout
from bootstrapper.migrations.project.configuration import BadConfiguration
from bootstrapper.migrations.project.layout import DynamicProject, Layout
from bootstrapper.migrations.project.packages import names_package
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plugin.project import Project
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.scaffold.sources import files, text_of

DEFAULT_SECTION = "alembic"

_TEMPLATES = ("script.py.mako", "versions")


@dataclass(frozen=True)
class AlembicProject:
    """One Alembic project.

    Attributes:
        shown: The file that it was found by, relative to the folder of bootstrap.yaml.
        settings: What the step `migrate` needs to find it.
        layout: None if the configuration could not be read.
        problem: Why it could not be read.
        sections: Further sections of the file with a project of their own.
    """

    shown: str
    settings: MigrationSettings
    layout: Layout | None
    problem: str | None = None
    sections: tuple[str, ...] = ()

    @property
    def env_py(self) -> Path | None:
        """env.py; None if it is in a package that was not found."""
        try:
            return None if self.layout is None else self.layout.folder / "env.py"
        except DynamicProject:
            return None


def reading_project(root: Path) -> Project:
    """Returns a project that suffices to read Alembic's configuration."""
    return Project(
        name=root.name,
        command="init",
        directory=root,
        document=document.parse(b"version: 1", "bootstrap.yaml"),
        environment=None,
        protected=False,
        target=Target({}),
        ledger=LedgerNames("bootstrapper"),
        inputs="",
        variables={},
        default_secrets=False,
    )


def find(root: Path) -> list[AlembicProject]:
    """Returns all projects below a folder, the nearest first."""
    every = list(files(root))
    configured: dict[Path, AlembicProject] = {}
    for file in every:
        if _is_configuration(file):
            configured.setdefault(file.parent, read(root, file))
    known = {found.env_py for found in configured.values()}
    bare = [read(root, file) for file in every if file not in known and _is_bare(file)]
    return [*configured.values(), *bare]


def choose(found: Iterable[AlembicProject]) -> AlembicProject | None:
    """Returns the nearest project; raises UsageError if several are equally near."""
    projects = [each for each in found if each.layout is not None] or list(found)
    nearest = [each for each in projects if _depth(each) == _depth(projects[0])]
    if len(nearest) > 1:
        listed = [each.shown for each in nearest]
        raise UsageError(
            f"{len(listed)} Alembic projects found: {', '.join(listed)}",
            hint=f"Choose one with --alembic, such as --alembic {listed[0]}.",
        )
    return nearest[0] if nearest else None


def read(root: Path, file: Path) -> AlembicProject:
    """Reads a configuration, or a project that has only an env.py, from the working directory where it fits."""
    project, problem = reading_project(root), None
    section, *sections = _sections(file) or [DEFAULT_SECTION]
    candidates = [each.model_copy(update={"section": section}) for each in _settings(root, file)]
    for settings in candidates:
        try:
            found = layout.read(settings, project)
            return AlembicProject(_shown(root, file), settings, found, sections=tuple(sections))
        except (BadConfiguration, ValueError) as error:
            problem = problem or str(error)
    return AlembicProject(_shown(root, file), candidates[0], None, problem)


def _settings(root: Path, file: Path) -> Iterator[MigrationSettings]:
    if file.name == "env.py":
        yield MigrationSettings(script_location=_shown(root, file.parent))
        return
    default = file.name in ("alembic.ini", "pyproject.toml")
    folders = [file.parent, *(folder for folder in file.parents if folder == root or root in folder.parents)]
    for cwd in dict.fromkeys(folders):
        here = default and cwd == file.parent
        config = None if here else Path(_shown(root, file))
        yield MigrationSettings(config=config, cwd=Path(_shown(root, cwd)))
    # Flask-Migrate sets script_location to the folder of the file itself.
    yield MigrationSettings(config=Path(_shown(root, file)), script_location=_shown(root, file.parent))


def _shown(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _depth(found: AlembicProject) -> int:
    return found.shown.count("/")


def _is_configuration(file: Path) -> bool:
    text = text_of(file) if file.suffix == ".ini" or file.name == "pyproject.toml" else None
    if text is None or "alembic" not in text:
        return False
    try:
        if file.suffix == ".toml":
            return bool(tomllib.loads(text).get("tool", {}).get("alembic"))
    except tomllib.TOMLDecodeError:
        return False
    return bool(_sections(file)) or file.name == "alembic.ini"  # its error is worth showing


def _sections(file: Path) -> list[str]:
    """Returns the sections with a script_location; the default one counts without it, too, and comes first."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text_of(file) or "" if file.suffix == ".ini" else "")
    except configparser.Error:
        return []
    named = [name for name in parser.sections() if parser.has_option(name, "script_location")]
    if DEFAULT_SECTION in parser.sections() and DEFAULT_SECTION not in named:
        named.append(DEFAULT_SECTION)
    return sorted(named, key=lambda name: name != DEFAULT_SECTION)


def _is_bare(file: Path) -> bool:
    """Whether it is an env.py of Alembic: env.py is a common name."""
    if file.name != "env.py" or not any((file.parent / name).exists() for name in _TEMPLATES):
        return False
    return "alembic" in (text_of(file) or "")


def location(found: AlembicProject) -> str:
    """Returns where its scripts are, for messages."""
    if found.layout is None:
        return ""
    text = found.layout.script_location
    path = Path(text)
    if names_package(text) or not path.is_absolute():
        return text
    directory = found.layout.directory
    return path.relative_to(directory).as_posix() if path.is_relative_to(directory) else text
