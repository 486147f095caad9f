"""The version table that an env.py sets with `context.configure`, as far as its text shows it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from bootstrapper.dataclass import dataclass
from bootstrapper.scaffold.sources import called, keyword, literal, tree_of


@dataclass(frozen=True)
class Setting:
    """An argument of `context.configure`.

    Attributes:
        value: None if it is computed.
        written: As env.py has it.
    """

    value: str | None
    written: str
    line: int


def read(env_py: Path, modules: Sequence[Path], name: str) -> Setting | None:
    """Returns what env.py passes under a name, such as version_table; None if it does not pass it.

    Args:
        modules: env.py and the modules that it imports, where a constant may be assigned.
    """
    tree = tree_of(env_py)
    found = list(_passed(tree, name)) if tree is not None else []
    if not found:
        return None
    values = {_value(node, modules) for node in found}
    value = values.pop() if len(values) == 1 else None
    return Setting(value, ast.unparse(found[0]), found[0].lineno)


def _passed(tree: ast.Module, name: str) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.Call() if called(node) == "configure" and (value := keyword(node, name)) is not None:
                yield value
            case ast.Dict(keys=keys, values=values):  # context.configure(**options)
                yield from (value for key, value in zip(keys, values, strict=True) if key and literal(key) == name)
            case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=key))], value=value) if key == name:
                yield value


def _value(node: ast.expr, modules: Sequence[Path]) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name) | ast.Attribute(attr=name):
            constants = {text for file in modules for text in _assigned(file, name)}
            return constants.pop() if len(constants) == 1 else None
    return None


def _assigned(file: Path, name: str) -> Iterator[str | None]:
    """Yields what is assigned to a name, also as an attribute of a class: the text, or None if it is computed."""
    tree = tree_of(file)
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                yield literal(value)
            case ast.AnnAssign(target=ast.Name(id=target), value=value) if target == name:
                yield literal(value)
