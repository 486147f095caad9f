"""Whether a plugin was written for this version of the contracts: its module says so by `bootstrapper_api = 1`."""

from __future__ import annotations

import ast
from pathlib import Path

from bootstrapper import __version__
from bootstrapper.config.files import require_regular
from bootstrapper.errors import PluginError
from bootstrapper.plugin.contracts import API_VERSION

_NAME = "bootstrapper_api"


def require_supported(plugin: object, origin: str) -> None:
    """Raises PluginError for an imported plugin that says another version than this one."""
    _require(getattr(plugin, _NAME, 1), origin)


def require_file_supported(path: Path) -> None:
    """As `require_supported`, of a file that cannot be imported: the names that it imports may be those of another one.

    What cannot be read is left to the error of the import.
    """
    try:
        require_regular(path)
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in tree.body:
        names = [each.id for each in getattr(node, "targets", ()) if isinstance(each, ast.Name)]
        if isinstance(node, ast.Assign) and _NAME in names and isinstance(node.value, ast.Constant):
            _require(node.value.value, str(path))


def _require(version: object, origin: str) -> None:
    if isinstance(version, bool) or not isinstance(version, int):
        raise PluginError(origin, f"{_NAME} is not a whole number", hint=f"Write `{_NAME} = {API_VERSION}`.")
    if version != API_VERSION:
        ours = f"bootstrapper {__version__} has version {API_VERSION}"
        newer = "bootstrapper" if version > API_VERSION else "release of the plugin"
        raise PluginError(
            origin, f"was written for version {version} of the plugin API; {ours}", hint=f"Install a newer {newer}."
        )
