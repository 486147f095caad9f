"""Installed distributions with plugins: their entry points, and the code that decides what they do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from bootstrapper.errors import PluginError, Source
from bootstrapper.plugin.faults import loading
from bootstrapper.text import did_you_mean

ENTRY_POINT_GROUP = "bootstrapper"


def points_of(name: str, source: Source | None) -> list[EntryPoint]:
    """Returns the entry points of a distribution; raises PluginError if there are none."""
    points = entry_points(group=ENTRY_POINT_GROUP)
    found = [point for point in points if _normal(name_of(point)) == _normal(name)]
    if not found:
        hint = did_you_mean(name, map(name_of, points), "Install it beside bootstrapper, or write ./ before a folder.")
        raise PluginError(name, "no installed distribution of this name provides plugins", hint=hint, source=source)
    return found


def import_point(name: str, point: EntryPoint, source: Source | None, quote: Callable[[str], str]) -> object:
    with loading(name, f"import of {point.value}", source, quote):
        return point.load()


def name_of(point: EntryPoint) -> str:
    """Returns the name of the distribution."""
    return point.dist.name if point.dist else point.name


def version_of(point: EntryPoint) -> str:
    """Returns the version of the distribution."""
    return point.dist.version if point.dist else ""


def code_of(point: EntryPoint) -> list[Path]:
    """Returns the files of the package that holds the imported module; of a module outside packages, its own file."""
    module = sys.modules.get(point.module)
    file = getattr(module, "__file__", None)
    if file is None:
        return []
    return sorted(Path(file).parent.rglob("*.py")) if getattr(module, "__package__", "") else [Path(file)]


def unlisted(listed: Iterable[str]) -> list[EntryPoint]:
    """Returns the entry points of distributions that the file does not list; none of them is imported."""
    names = {_normal(name) for name in listed}
    return [point for point in entry_points(group=ENTRY_POINT_GROUP) if _normal(name_of(point)) not in names]


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
