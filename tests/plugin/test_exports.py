"""Whatever the contracts tell a plugin author to use is importable from `bootstrapper`."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import bootstrapper
from bootstrapper import events
from bootstrapper.plugin import hooks

ROOT = Path(__file__).parents[2]
CONTRACTS = ["check", "context", "hooks", "options", "project", "renderer", "scopes", "step", "traits", "value"]
PAGE = (ROOT / "docs" / "how-to" / "write-a-plugin.md").read_text(encoding="utf-8")
TYPE_VARIABLES = {"With", "Argument"}
ELSEWHERE = {
    "All",  # the word
    "SQL",  # the language
    "SQLAlchemy",
    "SecretStr",  # pydantic's
    "GrantOptions",  # of examples
    "RoleCheck",
    "Hold",  # the lock's own
    *(each.__name__ for each in events.ALL),  # from bootstrapper.events
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
    return {name for name in found - TYPE_VARIABLES if not name.startswith("_")}


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


ENGINE = {
    "Hold",  # the lock's own
    "Loan",  # how a context's connection is lent
    "Revocable",  # how the engine gives its own limits
    "RunContext",  # what stands behind a context
}


def annotations(thing: Any) -> Iterator[tuple[str, str]]:
    """Yields what an exported name says of its types, each with the module that says it."""
    if inspect.isfunction(thing):
        yield from ((thing.__module__, said) for said in inspect.get_annotations(thing).values())
    for kind in thing.__mro__ if isinstance(thing, type) else ():
        if kind.__module__.startswith("bootstrapper"):
            yield from members(kind)


def members(kind: type[Any]) -> Iterator[tuple[str, str]]:
    """Yields what a class says of the types of its attributes and methods, without those for the engine."""
    hidden = {each.name for each in fields(kind) if each.metadata} if is_dataclass(kind) else set()
    for name, said in inspect.get_annotations(kind).items():
        if name not in hidden and not name.startswith("_"):
            yield kind.__module__, said
    for name, member in list(vars(kind).items()):
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if inspect.isfunction(function) and not name.startswith("_"):
            yield from annotations(function)


def ours(module: str) -> set[str]:
    """Returns the names of a module that are defined in the package, without type variables."""
    source = inspect.getsource(sys.modules[module])
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("bootstrapper"):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.ClassDef):
            found.add(node.name)
    return found - TYPE_VARIABLES


def test_every_type_in_a_signature_of_an_exported_name_is_exported() -> None:
    hook_types = [getattr(hooks, name) for name in vars(hooks) if name.startswith("bootstrapper_")]
    unexported: dict[str, str] = {}
    for thing in [*(getattr(bootstrapper, name) for name in bootstrapper.__all__), *hook_types]:
        for module, said in annotations(thing):
            named = set(re.findall(r"\b[A-Za-z]\w*", str(getattr(said, "__forward_arg__", said)))) & ours(module)
            unexported |= dict.fromkeys(named - {*bootstrapper.__all__, *ENGINE}, f"{thing.__name__}: {said}")
    assert unexported == {}


def test_every_exported_name_can_be_imported() -> None:
    assert [name for name in bootstrapper.__all__ if not hasattr(bootstrapper, name)] == []
