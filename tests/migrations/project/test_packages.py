"""`package:folder` leads to the folder that Alembic would find, and the package is not imported for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bootstrapper.migrations.project import layout
from bootstrapper.migrations.project.layout import DynamicProject, Layout
from bootstrapper.migrations.settings import MigrationSettings
from tests.cli.project import Project
from tests.migrations.contexts import make_project, trial
from tests.migrations.projects import create_table, write_env, write_revision

URL = "postgresql://nobody@localhost/nowhere"
FAILS_WHEN_IMPORTED = "raise RuntimeError('imported')\n"
NOTES_ITS_IMPORT = "with open('imported', 'a') as note:\n    note.write('x')\n"
EDITABLE = """
import sys
from importlib.machinery import PathFinder


class Editable:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return PathFinder.find_spec(name, ["{place}"]) if name == "library" else None


sys.meta_path.append(Editable)
"""


def read(directory: Path, variables: dict[str, str] | None = None, **options: object) -> Layout:
    return layout.read(MigrationSettings.model_validate(options), make_project(directory, URL, variables))


def write_package(directory: Path, *, init: str | None = FAILS_WHEN_IMPORTED) -> Path:
    write_env(directory)
    if init is not None:
        (directory / "__init__.py").write_text(init)
    return write_revision(directory, "first", upgrade=create_table("a"))


@pytest.mark.parametrize("init", [FAILS_WHEN_IMPORTED, None])
def test_a_package_in_the_folder_of_the_project_is_found(tmp_path: Path, init: str | None) -> None:
    file = write_package(tmp_path / "app", init=init)
    found = read(tmp_path, script_location="app:migrations")
    assert found.folder == tmp_path / "app" / "migrations"
    assert found.revision_files() == [file]


@pytest.mark.parametrize("init", [FAILS_WHEN_IMPORTED, None])
def test_a_package_in_a_package_is_found(tmp_path: Path, init: str | None) -> None:
    file = write_package(tmp_path / "app" / "storage" / "sql", init=init)
    if init is not None:
        for folder in (tmp_path / "app", tmp_path / "app" / "storage"):
            (folder / "__init__.py").write_text(init)
    assert read(tmp_path, script_location="app.storage.sql:migrations").revision_files() == [file]


def test_a_path_in_a_package_may_have_several_parts(tmp_path: Path) -> None:
    file = write_package(tmp_path / "app")
    assert read(tmp_path, script_location="app:migrations", config=None).revision_files() == [file]
    write_env(tmp_path / "app" / "db")
    inner = write_revision(tmp_path / "app" / "db", "inner")
    assert read(tmp_path, script_location="app:db:migrations").revision_files() == [inner]
    assert read(tmp_path, script_location="app:db/migrations").revision_files() == [inner]


def test_an_installed_package_is_found_by_the_projects_interpreter(tmp_path: Path) -> None:
    file = write_package(tmp_path / "elsewhere" / "library")
    variables = {"PYTHONPATH": str(tmp_path / "elsewhere")}
    assert read(tmp_path, variables, script_location="library:migrations").revision_files() == [file]


def test_a_package_that_an_import_hook_finds_is_found(tmp_path: Path) -> None:
    file = write_package(tmp_path / "sources" / "library")
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(EDITABLE.format(place=tmp_path / "sources"))
    variables = {"PYTHONPATH": str(tmp_path / "hooks")}
    assert read(tmp_path, variables, script_location="library:migrations").revision_files() == [file]


def test_prepend_sys_path_comes_first_as_in_alembic(tmp_path: Path) -> None:
    write_package(tmp_path / "app")
    file = write_package(tmp_path / "source" / "app", init="")
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = app:migrations\nprepend_sys_path = source\n")
    assert read(tmp_path).revision_files() == [file]
    ini.unlink()
    toml = '[tool.alembic]\nscript_location = "app:migrations"\nprepend_sys_path = ["%(here)s/source"]\n'
    (tmp_path / "pyproject.toml").write_text(toml)
    assert read(tmp_path).revision_files() == [file]


def test_version_locations_may_name_packages(tmp_path: Path) -> None:
    files = [write_package(tmp_path / name) for name in ("accounts", "billing")]
    files.append(write_revision(tmp_path / "billing", "second"))
    locations = "accounts:migrations/versions billing:migrations/versions"
    text = f"[alembic]\nscript_location = accounts:migrations\nversion_locations = {locations}\n"
    (tmp_path / "alembic.ini").write_text(text)
    assert read(tmp_path).revision_files() == files


@pytest.mark.parametrize("location", ["absent:migrations", "app.absent:migrations", "module:migrations", "app:absent"])
def test_a_package_that_is_not_found_is_left_to_alembic(tmp_path: Path, location: str) -> None:
    write_package(tmp_path / "app")
    (tmp_path / "module.py").touch()
    with pytest.raises(DynamicProject):
        read(tmp_path, script_location=location).revision_files()


@pytest.mark.parametrize("python", ["absent/python", "/bin/false", "/bin/echo"])
def test_a_package_is_left_to_alembic_if_the_interpreter_does_not_answer(tmp_path: Path, python: str) -> None:
    write_package(tmp_path / "app")
    with pytest.raises(DynamicProject):
        read(tmp_path, script_location="app:migrations", python=python).revision_files()


def test_output_at_the_start_of_the_interpreter_is_ignored(tmp_path: Path) -> None:
    file = write_package(tmp_path / "app")
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text("print('hello', end='')\n")
    variables = {"PYTHONPATH": str(tmp_path / "hooks")}
    assert read(tmp_path, variables, script_location="app:migrations").revision_files() == [file]


def test_the_interpreter_is_started_once_in_a_run(tmp_path: Path) -> None:
    write_package(tmp_path / "app")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho started >> {tmp_path}/started\nexec python3 "$@"\n')
    python.chmod(0o755)
    project = make_project(tmp_path, URL, {"PATH": os.environ["PATH"]})
    settings = MigrationSettings(script_location="app:migrations", python=str(python))
    for _ in range(3):
        layout.read(settings, project)
    assert (tmp_path / "started").read_text() == "started\n"


MIGRATES = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: "app:migrations"}
    check: {revision: head}
"""


def test_nothing_to_do_imports_no_package(tmp_path: Path, database: str) -> None:
    write_package(tmp_path / "app", init=NOTES_ITS_IMPORT)
    project = Project(tmp_path, database)
    project.write(MIGRATES)
    assert project.run("validate").returncode == 0
    assert project.run("plan").returncode == 0
    assert not (tmp_path / "imported").exists()
    applied = project.run("apply")
    assert applied.returncode == 0, applied.stderr
    assert (tmp_path / "imported").read_text() == "x"
    again = project.run("apply")
    assert again.returncode == 0
    assert "nothing to do" in again.stderr + again.stdout
    assert (tmp_path / "imported").read_text() == "x"


def test_the_package_that_was_found_is_migrated(tmp_path: Path, database: str) -> None:
    write_package(tmp_path / "app", init="")
    with trial(tmp_path, database, script_location="app:migrations") as migrate:
        assert migrate.pending() == ["revision first"]
        migrate.apply()
        assert migrate.changes() == []
