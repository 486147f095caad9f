"""Imports the modules of this package as they are.

pytest rewrites the assertions of every module of a distribution that has a plugin. Where no bytecode is written, as in
many images, that would compile hundreds of modules in each session, and take ten seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_PACKAGE = "bootstrapper."


class _PlainFinder(MetaPathFinder):
    """Finds modules of the package before pytest's own finder does."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, path, target) if fullname.startswith(_PACKAGE) else None


_FINDER = _PlainFinder()


def begin() -> None:
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def end() -> None:
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)
