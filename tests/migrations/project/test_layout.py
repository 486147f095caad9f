"""Where a project's files are, by every kind of configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from bootstrapper.migrations.project import layout
from bootstrapper.migrations.project.configuration import BadConfiguration
from bootstrapper.migrations.project.layout import DynamicProject, Layout
from bootstrapper.migrations.settings import MigrationSettings
from tests.migrations.contexts import make_project
from tests.migrations.projects import write_env, write_revision

URL = "postgresql://nobody@localhost/nowhere"


def read(directory: Path, **options: object) -> Layout:
    return layout.read(MigrationSettings.model_validate(options), make_project(directory, URL))


def test_alembic_ini_is_found_beside_the_file(tmp_path: Path) -> None:
    write_env(tmp_path)
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    assert read(tmp_path).folder == tmp_path / "migrations"


def test_pyproject_is_found_and_its_placeholders_are_filled(tmp_path: Path) -> None:
    write_env(tmp_path)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.alembic]\nscript_location = "%(here)s/migrations"\nfile_template = "%%(rev)s"\n'
    )
    found = read(tmp_path)
    assert found.folder == tmp_path / "migrations"
    assert found.configuration.files == (tmp_path / "pyproject.toml",)


def test_a_section_of_its_own_is_read(tmp_path: Path) -> None:
    write_env(tmp_path)
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = none\n[second]\nscript_location = migrations\n")
    assert read(tmp_path, section="second").folder == tmp_path / "migrations"


def test_several_recursive_locations_give_the_files_in_alembics_order(tmp_path: Path) -> None:
    write_env(tmp_path)
    for name, folder in (("b", "one/deep"), ("a", "one"), ("c", "two"), ("d", "one/also")):
        write_revision(tmp_path, name, folder=folder)
    ini = tmp_path / "alembic.ini"
    ini.write_text(
        "[alembic]\nscript_location = %(here)s/migrations\npath_separator = os\n"
        "version_locations = %(here)s/one:%(here)s/two\nrecursive_version_locations = true\n"
    )
    scripts = ScriptDirectory.from_config(Config(ini))
    expected = [Path(script.path) for script in scripts._load_revisions()]
    assert read(tmp_path).revision_files() == expected
    assert len(expected) == 4


def test_a_file_in_two_places_is_read_once(tmp_path: Path) -> None:
    write_env(tmp_path)
    file = write_revision(tmp_path, "a", folder="one")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    (tmp_path / "three").mkdir()
    (tmp_path / "three" / file.name).symlink_to(file)
    (tmp_path / "three" / "folder.py").mkdir()
    (tmp_path / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s/migrations\npath_separator = os\n"
        "version_locations = %(here)s/one:%(here)s/two:%(here)s/three\n"
    )
    assert read(tmp_path).revision_files() == [file.resolve()]


def test_a_package_is_left_to_alembic(tmp_path: Path) -> None:
    with pytest.raises(DynamicProject):
        read(tmp_path, script_location="package:migrations").revision_files()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "script_location is not set, here or in alembic.ini or pyproject.toml"),
        ({"config": "absent.ini"}, "file 'absent.ini' does not exist"),
        ({"script_location": "absent"}, "no env.py"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, options: dict[str, object], reason: str) -> None:
    with pytest.raises(BadConfiguration, match=reason):
        read(tmp_path, **options)


def test_a_broken_ini_is_refused_without_quoting_it(tmp_path: Path) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = migrations\nhunter2 without equals\n")
    with pytest.raises(BadConfiguration) as caught:
        read(tmp_path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("target", ["+1", "head-1", "blue@+2", "base"])
def test_a_relative_target_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="is not supported; use head"):
        MigrationSettings(target=target)
