"""The map in docs/architecture.md, the package, its layers and its tests are laid out alike."""

from __future__ import annotations

import ast
import re
import runpy
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bootstrapper"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MOST_LOOSE_MODULES = 10
LONGEST_MODULE = 300
OTHER_WORDS = {"bootstrapper", "when", "hint", "upgrade"}
"""What docstrings of packages name beside modules: the package, keys of the file, a command."""
ACROSS_PACKAGES = {"deploy", "environments", "faults", "real_projects"}
"""Folders of tests for the whole tool; all but `deploy` have a command of their own."""


def rows(heading: str) -> list[list[str]]:
    """Returns the names in backticks of the first column, for each row of the table with this heading."""
    table = PAGE.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return [re.findall(r"`([^`]+)`", line.split("|")[1]) for line in table.splitlines()[2:]]


def layers() -> list[set[str]]:
    """Returns what import-linter enforces, top to bottom."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    contract = next(found for found in settings["contracts"] if found["type"] == "layers")
    return [set(re.split(r" [|:] ", layer)) for layer in contract["layers"]]


def packages() -> Iterator[Path]:
    yield from (file.parent for file in PACKAGE.rglob("__init__.py"))


def modules() -> list[Path]:
    return [file for file in PACKAGE.rglob("*.py") if file.name != "__init__.py"]


def test_the_layers_of_the_map_are_those_that_are_enforced() -> None:
    assert [set(names) for names in rows("layer | packages and modules")] == layers()


def test_the_pictures_are_those_that_the_code_draws() -> None:
    """The layers are drawn from the rule of import-linter, so that the picture cannot go stale."""
    drawn = runpy.run_path(str(ROOT / "docs" / "pictures.py"))["pictures"]()
    stored = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "pictures").iterdir()}
    assert stored == drawn, "run python docs/pictures.py"
    texts = [each for each in ElementTree.fromstring(drawn["layers.svg"]).iter() if "code" in each.get("class", "")]
    assert {each.text for each in texts} == set().union(*layers())
    for name in drawn:
        assert f"](pictures/{name})" in PAGE


def test_the_map_names_each_package_and_module_at_the_top() -> None:
    found = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert set().union(*layers()) == found - {"__init__", "__pycache__"}


def test_the_map_names_each_inner_package() -> None:
    found = {str(path.relative_to(PACKAGE)) for path in packages() if len(path.relative_to(PACKAGE).parts) == 2}
    assert {name for names in rows("package | what is in it") for name in names} == found


def test_every_path_of_the_page_exists() -> None:
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", PAGE))
    assert named
    assert [name for name in named if not (PACKAGE / name).exists() and not (ROOT / name).exists()] == []


def test_few_modules_stand_loose_at_the_top() -> None:
    loose = [path.name for path in PACKAGE.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    assert len(loose) <= MOST_LOOSE_MODULES, loose


@pytest.mark.parametrize("package", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in packages()])
def test_a_package_says_what_is_in_it(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
    assert docstring is not None
    assert len(docstring) > 60


@pytest.mark.parametrize("package", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in packages()])
def test_a_package_names_modules_that_exist(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    known = {path.stem for path in PACKAGE.rglob("*")} | OTHER_WORDS
    assert set(re.findall(r"`([a-z_]+)`", docstring)) <= known


def test_modules_are_short_enough_to_read() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_tests_stand_where_the_package_has_what_they_test() -> None:
    folders = {path.relative_to(ROOT / "tests").parent for path in (ROOT / "tests").rglob("test_*.py")}
    expected = {path.relative_to(PACKAGE) for path in packages()}
    assert {str(folder) for folder in folders - expected} <= ACROSS_PACKAGES


def test_a_test_named_after_a_module_of_its_package_stands_in_the_same_folder() -> None:
    homes: dict[tuple[str, str], set[Path]] = {}
    for path in modules():
        folder = path.relative_to(PACKAGE).parent
        homes.setdefault((str(folder).split("/")[0], path.stem), set()).add(folder)
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.relative_to(ROOT / "tests").parent
        home = homes.get((str(folder).split("/")[0], path.stem.removeprefix("test_")), {folder})
        assert folder in home, f"{path.relative_to(ROOT)} tests a module of {sorted(map(str, home))}"


@pytest.mark.parametrize(
    "page",
    [".ci/run", "Makefile", "CONTRIBUTING.md", "docs/faults.md", "docs/architecture.md", "tests/faults/README.md"],
)
def test_the_tests_that_a_page_names_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    missing = {path for path in re.findall(r"tests/[\w/]+(?:\.\w+)?", text) if not (ROOT / path).exists()}
    names = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert missing | (set(re.findall(r"`(test_\w+\.py)`", text)) - names) == set()
