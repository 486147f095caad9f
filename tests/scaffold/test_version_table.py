"""The version table that an env.py sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrapper.scaffold import version_table
from bootstrapper.scaffold.version_table import Setting
from tests.scaffold.projects import write


def read(folder: Path, text: str, name: str = "version_table", **modules: str) -> Setting | None:
    write(folder, {"env.py": text, **{f"{name}.py": code for name, code in modules.items()}})
    return version_table.read(
        folder / "env.py", [folder / "env.py", *(folder / f"{each}.py" for each in modules)], name
    )


@pytest.mark.parametrize(
    "text",
    [
        "context.configure(version_table='versions')",
        "NAME = 'versions'\ncontext.configure(version_table=NAME)",
        "NAME: str = 'versions'\ncontext.configure(version_table=NAME)",
        "options = {'version_table': 'versions'}\ncontext.configure(**options)",
        "options['version_table'] = 'versions'\ncontext.configure(**options)",
    ],
)
def test_a_constant_is_read_however_it_is_passed(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert found is not None
    assert found.value == "versions"


def test_a_constant_of_an_imported_module_is_read(tmp_path: Path) -> None:
    text = "from names import SCHEMA\ncontext.configure(version_table_schema=SCHEMA)"
    found = read(tmp_path, text, "version_table_schema", names="SCHEMA = 'app'")
    assert found == Setting("app", "SCHEMA", 2)


@pytest.mark.parametrize(
    "text",
    [
        "context.configure(version_table=name())",
        "NAME = 'a' if x else 'b'\ncontext.configure(version_table=NAME)",
        "NAME = 'a'\nNAME = 'b'\ncontext.configure(version_table=NAME)",
        "context.configure(version_table='a')\ncontext.configure(version_table='b')",
    ],
)
def test_a_computed_name_is_not_guessed(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert found is not None
    assert found.value is None


def test_a_default_table_is_not_a_setting(tmp_path: Path) -> None:
    assert read(tmp_path, "context.configure(connection=connection)") is None
