"""The examples of the page for authors pass a strict type checker, which knows the types of options and arguments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mypy import api

from bootstrapper import Check, Step, StepModel
from tests.plugin.test_exports import PAGE, ROOT

BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = {names[0]: text for text in BLOCKS if (names := re.findall(r"(?:class|def) (\w+)", text))}


def checked(tmp_path: Path, text: str) -> str:
    """Returns what mypy says, with the project's own settings, which are strict."""
    (tmp_path / "plugin.py").write_text(text)
    arguments = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    said, errors, _ = api.run([*arguments, str(tmp_path / "plugin.py")])
    return said + errors


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_of_the_page_for_authors_passes_a_strict_type_checker(tmp_path: Path, text: str) -> None:
    assert "Success" in checked(tmp_path, text)


@pytest.mark.parametrize(
    ("example", "wrong", "said"),
    [
        ("GrantOptions", ("self.options.role", "self.options.rolle"), '"GrantOptions" has no attribute "rolle"'),
        ("RoleCheck", ("(self.argument,)", "(self.argument + 1,)"), "Unsupported operand types for + "),
    ],
)
def test_a_type_checker_knows_options_and_arguments(
    tmp_path: Path, example: str, wrong: tuple[str, str], said: str
) -> None:
    assert said in checked(tmp_path, EXAMPLES[example].replace(*wrong))


class Options(StepModel):
    size: int


class First(Step[Options]):
    """Abstract, as is its subclass: only the types matter."""


class Second(First):
    """Takes the type of its base."""


class Plain(Step):
    """Takes no options."""


class Sized(Check[int]):
    """Takes a number."""


def test_the_type_in_brackets_is_found_once_for_the_class_and_its_subclasses() -> None:
    assert [each.options_type for each in (First, Second, Plain)] == [Options, Options, StepModel]
    assert (Sized.argument_type, Check.argument_type) == (int, None)
