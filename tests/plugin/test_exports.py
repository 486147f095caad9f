"""Whatever the contracts tell a plugin author to use is importable from `bootstrapper`."""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path

import pytest

import bootstrapper

ROOT = Path(__file__).parents[2]
CONTRACTS = ["check", "context", "hooks", "options", "project", "renderer", "scopes", "step", "traits", "value"]
PAGE = (ROOT / "docs" / "how-to" / "write-a-plugin.md").read_text(encoding="utf-8")
ELSEWHERE = {
    "SQL",  # the language
    "SQLAlchemy",
    "Hold",  # what the lock gives to the engine
}


def classes() -> set[str]:
    """Returns the names of all public classes and constants of the package that an author might need."""
    found = set()
    for name in ("plans/*.py", "events.py", "errors/*.py", "plugin/*.py"):
        for path in (ROOT / "bootstrapper").glob(name):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    found.add(node.name)
                elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    found.add(node.targets[0].id)
    return {name for name in found if not name.startswith("_")}


def docstrings(module: str) -> str:
    """Returns everything that a contract says in words: its docstrings, and those of its attributes."""
    tree = ast.parse((ROOT / "bootstrapper" / "plugin" / f"{module}.py").read_text(encoding="utf-8"))
    texts = [
        node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    return "\n".join(str(text) for text in texts)


def foreign(text: str) -> set[str]:
    """Returns the names in a text that are neither exported nor Python's own."""
    names = set(re.findall(r"\b[A-Z]\w+\b", text))
    named = (names & classes()) | set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", text))
    return {name for name in named if name not in bootstrapper.__all__ and not hasattr(builtins, name)} - ELSEWHERE


@pytest.mark.parametrize("module", CONTRACTS)
def test_what_a_docstring_of_a_contract_names_is_exported(module: str) -> None:
    assert foreign(docstrings(module)) == set()


def test_what_the_page_for_authors_names_is_exported() -> None:
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    assert foreign(prose) == set()


def test_every_exported_name_can_be_imported() -> None:
    assert [name for name in bootstrapper.__all__ if not hasattr(bootstrapper, name)] == []
