"""The files of a project that are worth reading, without those of its environments, caches and builds."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from bootstrapper.config.files import is_file

LARGEST_BYTES = 1_000_000
MOST_FILES = 20_000
DEEPEST = 8

_SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__", "build", "dist", "vendor", "htmlcov"})


def files(root: Path, *, deepest: int = DEEPEST) -> Iterator[Path]:
    """Yields the files below a folder, those nearest to it first; links to folders are not followed."""
    folders, left = [(root, 0)], MOST_FILES
    for folder, depth in folders:  # the list grows while it is read: breadth first
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError:
            continue
        if folder != root and any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                is_ours = not entry.name.startswith(".") and entry.name not in _SKIPPED
                folders += [(Path(entry.path), depth + 1)] if is_ours and depth < deepest else []
            elif left > 0 and entry.is_file():
                left -= 1
                yield Path(entry.path)


def text_of(file: Path) -> str | None:
    """Returns the text of a file; None if it is not a text of usual size."""
    try:
        if not is_file(file) or file.stat().st_size > LARGEST_BYTES:
            return None
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


def tree_of(file: Path) -> ast.Module | None:
    """Returns the syntax tree of a module; None if it cannot be parsed by this Python."""
    try:
        return _parsed(file, file.stat().st_mtime_ns)
    except OSError:
        return None


@cache
def _parsed(file: Path, _changed_at: int) -> ast.Module | None:
    text = text_of(file)
    try:
        return None if text is None else ast.parse(text, str(file))
    except (SyntaxError, ValueError, RecursionError):
        return None


def called(node: ast.AST) -> str | None:
    """Returns the last name of what a call calls: `getenv` for os.getenv(...)."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name
    return None


def literal(node: ast.AST | None) -> str | None:
    """Returns the text of a constant."""
    match node:
        case ast.Constant(value=str(text)):
            return text
    return None


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg == name), None)
