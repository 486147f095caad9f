"""What can be said of an env.py without running it."""

from __future__ import annotations

import ast
from pathlib import Path


def sets_version_locations(file: Path) -> bool:
    """Whether it tells Alembic itself where the revisions are, so that no configuration tells all of them.

    By an attribute of `context.script`: an option of the configuration would come too late for Alembic.
    """
    tree = _parsed(file, b"version_locations")
    return tree is not None and any(_sets(node, "version_locations") for node in ast.walk(tree))


def _parsed(file: Path, word: bytes) -> ast.Module | None:
    """None where it does not have the word, or is no Python that can be read here."""
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
