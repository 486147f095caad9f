"""The modules of a project that its env.py imports, found by name below the folders of its search path."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from bootstrapper.config.files import is_file
from bootstrapper.scaffold.sources import tree_of

_MOST = 200
_FARTHEST = 4


def behind(env_py: Path, search_path: Sequence[Path]) -> list[Path]:
    """Returns env.py and the modules of the project that it imports, directly or by others, the nearest first."""
    found = {env_py: 0}
    for file in (queue := [env_py]):  # the list grows while it is read
        if found[file] == _FARTHEST:
            continue
        for imported in _imported(file, search_path):
            if imported not in found and len(found) < _MOST:
                found[imported] = found[file] + 1
                queue.append(imported)
    return queue


def _imported(file: Path, search_path: Sequence[Path]) -> Iterator[Path]:
    tree = tree_of(file)
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.Import(names=names):
                for each in names:
                    yield from _located(each.name.split("."), search_path)
            case ast.ImportFrom(module=module, names=names, level=level):
                places = [file.parents[level - 1]] if 0 < level <= len(file.parents) else search_path
                parts = module.split(".") if module else []
                yield from _located(parts, places)
                for each in names:
                    yield from _located([*parts, each.name], places)


def _located(parts: Sequence[str], places: Sequence[Path]) -> Iterator[Path]:
    if not parts or "*" in parts:
        return
    for place in places:
        base = place.joinpath(*parts)
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if is_file(file):
                yield file
                return
