"""Which Alembic project of a folder `init` takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrapper.errors import UsageError
from bootstrapper.scaffold.alembic_projects import AlembicProject, choose, find, location
from tests.scaffold.projects import ENV, INI, alembic, write


def only(folder: Path) -> AlembicProject:
    (found,) = find(folder)
    return found


def settings(found: AlembicProject) -> dict[str, object]:
    return found.settings.model_dump(exclude_defaults=True, mode="json")


def test_an_alembic_ini_in_the_folder_needs_no_options(tmp_path: Path) -> None:
    found = only(write(tmp_path, alembic()))
    assert (settings(found), location(found)) == ({}, "migrations")
    assert found.env_py == tmp_path / "migrations" / "env.py"


def test_a_project_in_a_subfolder_gets_its_working_directory(tmp_path: Path) -> None:
    assert settings(only(write(tmp_path, alembic("backend/")))) == {"cwd": "backend"}


def test_a_location_that_starts_at_the_project_keeps_its_working_directory(tmp_path: Path) -> None:
    files = {"config/alembic.ini": INI, "migrations/env.py": ENV, "migrations/versions/x.txt": ""}
    assert settings(only(write(tmp_path, files))) == {"config": "config/alembic.ini"}


def test_a_table_in_pyproject_toml_is_found(tmp_path: Path) -> None:
    files = {"pyproject.toml": '[tool.alembic]\nscript_location = "db"\n', "db/env.py": ENV, "db/script.py.mako": ""}
    found = only(write(tmp_path, files))
    assert (settings(found), location(found)) == ({}, "db")


def test_an_ini_file_of_another_name_is_named(tmp_path: Path) -> None:
    files = {**alembic(), "setup.ini": "[other]\n"}
    files["db.ini"] = files.pop("alembic.ini")
    assert settings(only(write(tmp_path, files))) == {"config": "db.ini"}


def test_a_file_of_flask_migrate_stands_in_its_own_script_location(tmp_path: Path) -> None:
    files = {"migrations/alembic.ini": "[alembic]\n", "migrations/env.py": ENV, "migrations/versions/x.txt": ""}
    found = only(write(tmp_path, files))
    assert settings(found) == {"config": "migrations/alembic.ini", "script_location": "migrations"}


def test_an_env_py_without_a_configuration_is_found(tmp_path: Path) -> None:
    files = {"app/db/env.py": ENV, "app/db/versions/x.txt": "", "tools/env.py": ENV}
    assert settings(only(write(tmp_path, files))) == {"script_location": "app/db"}


def test_projects_in_virtual_environments_and_hidden_folders_are_ignored(tmp_path: Path) -> None:
    files = {**alembic("env/"), "env/pyvenv.cfg": "", **alembic(".cache/"), **alembic("node_modules/x/")}
    assert find(write(tmp_path, files)) == []


def test_the_nearest_of_several_projects_is_chosen(tmp_path: Path) -> None:
    found = find(write(tmp_path, {**alembic(), **alembic("examples/shop/")}))
    chosen = choose(found)
    assert chosen is not None
    assert (len(found), chosen.shown) == (2, "alembic.ini")


def test_equally_near_projects_have_to_be_chosen_from(tmp_path: Path) -> None:
    found = find(write(tmp_path, {**alembic("shop/"), **alembic("users/")}))
    with pytest.raises(UsageError, match=r"2 Alembic projects found: shop/alembic.ini, users/alembic.ini") as caught:
        choose(found)
    assert caught.value.hint == "Choose one with --alembic, such as --alembic shop/alembic.ini."


def test_a_configuration_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    found = only(write(tmp_path, {"alembic.ini": "[alembic]\nscript_location = nowhere\n"}))
    assert (found.layout, found.problem) == (None, "nowhere has no env.py")


def test_a_package_that_is_not_installed_is_kept_as_it_is_written(tmp_path: Path) -> None:
    found = only(write(tmp_path, {"alembic.ini": "[alembic]\nscript_location = not_installed_here:migrations\n"}))
    assert (location(found), found.env_py) == ("not_installed_here:migrations", None)
