"""Everything that a folder shows of its database, put together."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import InvalidFileError, UsageError
from bootstrapper.migrations.history.revisions import read_revision
from bootstrapper.migrations.project.layout import DynamicProject, Layout
from bootstrapper.migrations.settings import DEFAULT_TABLE
from bootstrapper.scaffold import alembic_projects, imports, models, url_variables, version_table
from bootstrapper.scaffold.alembic_projects import AlembicProject
from bootstrapper.scaffold.models import ModelTable
from bootstrapper.scaffold.sources import files, text_of, tree_of
from bootstrapper.scaffold.url_variables import Found
from bootstrapper.scaffold.version_table import Setting

_ENVIRONMENTS = (".venv", "venv", "env")
_SOURCES = (Path(), Path("src"))


@dataclass(frozen=True)
class Survey:
    """What was found; None or empty is not found.

    Attributes:
        root: The folder of bootstrap.yaml.
        others: Further Alembic projects, by the files they were found by.
        revisions: How many there are; None if only Alembic itself can tell.
        heads: Empty if unknown.
        tables_of: `models` or `revisions`.
        python: The interpreter of a virtual environment with Alembic, relative to the root, if it is not ours.
        needs_application: Whether env.py works inside a Flask application only.
    """

    root: Path
    alembic: AlembicProject | None = None
    others: tuple[str, ...] = ()
    revisions: int | None = None
    heads: tuple[str, ...] = ()
    url: Found = field(default_factory=Found)
    version_table: Setting | None = None
    version_schema: Setting | None = None
    tables: tuple[ModelTable, ...] = ()
    tables_of: str = ""
    python: str | None = None
    needs_application: bool = False


def survey(root: Path, config: Path | None = None) -> Survey:
    """Reads a folder; imports nothing and starts no code of the project.

    Args:
        root: The folder of bootstrap.yaml, absolute.
        config: The Alembic configuration to use; needed if several are equally near.

    Raises:
        UsageError: Several Alembic projects are equally near, or the named one is not one.
    """
    projects = alembic_projects.find(root)
    chosen = alembic_projects.choose(projects) if config is None else _named(root, config)
    every = list(files(root))
    layout = chosen.layout if chosen is not None else None
    modules = _modules(root, chosen)
    env_py = chosen.env_py if chosen is not None and modules else None
    revisions = _revisions(layout)
    heads = _heads(revisions or ())
    of_revisions = set(revisions or ())
    tables = models.declared(file for file in every if file not in of_revisions and not _is_test(root, file))
    tables_of = "models" if tables else "revisions"
    version = version_table.read(env_py, modules, "version_table") if env_py else None
    version_names = {DEFAULT_TABLE, version.value if version is not None else None}
    return Survey(
        root=root,
        alembic=chosen,
        others=tuple(_unused(each) for each in projects if chosen is not None and each.shown != chosen.shown),
        revisions=None if revisions is None else len(revisions),
        heads=heads,
        url=url_variables.find(root, modules, every),
        version_table=version,
        version_schema=version_table.read(env_py, modules, "version_table_schema") if env_py else None,
        tables=tuple(each for each in tables or models.created(revisions or ()) if each.name not in version_names),
        tables_of=tables_of,
        python=_python(root, layout),
        needs_application=env_py is not None and "current_app" in (text_of(env_py) or ""),
    )


def _unused(project: AlembicProject) -> str:
    return project.shown if project.problem is None else f"{project.shown} ({project.problem})"


def _named(root: Path, config: Path) -> AlembicProject:
    found = alembic_projects.read(root, config.absolute())
    if found.layout is None:
        raise UsageError(f"{config}: {found.problem}", hint="Name an alembic.ini, a pyproject.toml or an env.py.")
    return found


def _modules(root: Path, chosen: AlembicProject | None) -> list[Path]:
    env_py = chosen.env_py if chosen is not None else None
    if chosen is None or chosen.layout is None or env_py is None or tree_of(env_py) is None:
        return []
    directory = chosen.layout.directory
    extra = [directory / part for part in chosen.layout.configuration.several("prepend_sys_path")]
    above = [folder for folder in env_py.parents if root in folder.parents]
    places = [*extra, *(base / part for base in (directory, root) for part in _SOURCES), *above]
    return imports.behind(env_py, list(dict.fromkeys(places)))


def _revisions(layout: Layout | None) -> list[Path] | None:
    """Returns the revision files; None if they are not known without running the project's code."""
    if layout is None:
        return None
    try:
        return layout.revision_files()
    except DynamicProject:
        return _none_yet(layout)


def _none_yet(layout: Layout) -> list[Path] | None:
    """Returns an empty list if the folders are known and have no revisions."""
    try:
        has_folders = all(folder.parent.is_dir() for folder in layout.version_folders)
    except DynamicProject:
        return None
    return [] if has_folders and not layout.sourceless and not layout.is_set_by_environment else None


def _heads(revisions: Sequence[Path]) -> tuple[str, ...]:
    try:
        found = [read_revision(file) for file in revisions]
    except (DynamicProject, InvalidFileError):
        return ()
    below = {name for each in found for name in each.down}
    return tuple(each.id for each in found if each.id not in below)


def _is_test(root: Path, file: Path) -> bool:
    parts = file.relative_to(root).parts
    return any(part in ("tests", "test") for part in parts) or file.name.startswith("test_")


def _python(root: Path, layout: Layout | None) -> str | None:
    if layout is None:
        return None
    for python in _interpreters(dict.fromkeys((layout.directory, root))):
        if not Path(sys.prefix).samefile(python.parents[1]) and any(
            python.parents[1].glob("lib/python*/site-packages/alembic")
        ):
            return python.relative_to(root).as_posix() if python.is_relative_to(root) else str(python)
    return None


def _interpreters(folders: Sequence[Path] | dict[Path, None]) -> Iterator[Path]:
    for folder in folders:
        for name in _ENVIRONMENTS:
            python = folder / name / "bin" / "python"
            if python.exists():
                yield python
