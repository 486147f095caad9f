"""Reads an env.py without running it."""

from __future__ import annotations

import ast
from pathlib import Path

from bootstrapper.migrations.project.drivers import Engine

_MAKERS: dict[Engine, frozenset[str]] = {
    "sync": frozenset({"create_engine", "engine_from_config"}),
    "async": frozenset({"create_async_engine", "async_engine_from_config"}),
}


def sets_version_locations(file: Path) -> bool:
    """Whether it sets version_locations itself, so that the configuration does not name all folders.

    It does so by an attribute of `context.script`: Alembic reads an option of the configuration too early.
    """
    tree = _parsed(file, b"version_locations")
    return tree is not None and any(_sets(node, "version_locations") for node in ast.walk(tree))


def engine_kind(file: Path) -> Engine | None:
    """Returns the kind of engine that it creates; None if it creates both, or leaves that to other code."""
    tree = _parsed(file, b"ngine")
    called = {_called(node) for node in ast.walk(tree)} if tree is not None else set()
    if "AsyncEngine" in called:  # around one that create_engine made
        return "async"
    made: list[Engine] = [kind for kind, names in _MAKERS.items() if called & names]
    return made[0] if len(made) == 1 else None


def _called(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name
    return None


def _parsed(file: Path, word: bytes) -> ast.Module | None:
    """Parses the file; returns None if it does not contain the word, or cannot be parsed."""
    try:
        content = file.read_bytes()
        return ast.parse(content, file.name) if word in content else None
    except (OSError, SyntaxError, ValueError):
        return None


def _sets(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Attribute(attr=attribute, ctx=ast.Store()):
            return attribute == name
        case ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value=attribute), _]):
            return bool(attribute == name)
    return False
