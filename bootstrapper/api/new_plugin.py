"""Writes the files of a new plugin."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from bootstrapper.builtin import registry
from bootstrapper.config import load
from bootstrapper.dataclass import dataclass
from bootstrapper.engine import plugins
from bootstrapper.engine.request import Request
from bootstrapper.errors import UsageError
from bootstrapper.fixtures.pull.new_files import NewFiles
from bootstrapper.plugin.on_demand import loaded
from bootstrapper.scaffold import new_plugin

_DEFAULT_FOLDER = "plugins"


@dataclass(frozen=True)
class NewPlugin:
    """What was written.

    Attributes:
        files: Their paths.
        listing: What `plugins:` of the file has to list; None if it lists that already.
    """

    files: tuple[Path, ...]
    listing: str | None


def new_file(request: Request, name: str) -> NewPlugin:
    """Writes a single file into the first folder of plugins that the file lists, or else `plugins` beside the file.

    Raises UsageError for a name that cannot be one, and if the file exists.
    """
    _require_name(name)
    if name in sys.stdlib_module_names:  # type checkers would take the file for that module
        raise UsageError(f"{name!r} is the name of a module of Python", hint="Choose another name.")
    folder = None
    if request.file.exists():
        found = load.read_all(request.file, request.environment, request.variables)
        folder = plugins.first_folder(plugins.listed(found), found.directory)
    listing = None if folder is not None else f"./{_DEFAULT_FOLDER}"
    return _written(folder or request.file.parent / _DEFAULT_FOLDER, new_plugin.single_file(name), listing)


def new_distribution(name: str, folder: Path) -> NewPlugin:
    """Writes a distribution into a new folder of its name, in `folder`.

    Raises UsageError for a name that cannot be one, and if the new folder exists.
    """
    _require_name(name)
    own = folder / new_plugin.distribution_name(name)
    if os.path.lexists(own):
        raise _exists(own)
    return _written(folder, new_plugin.distribution(name), own.name)


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path} already exists", hint="Choose another name, or remove it.")


def _require_name(name: str) -> None:
    new_plugin.require_name(name, [step.uses for step in loaded(registry.bootstrapper_steps())])


def _written(folder: Path, texts: Mapping[str, str], listing: str | None) -> NewPlugin:
    existing = next((folder / path for path in texts if os.path.lexists(folder / path)), None)
    if existing is not None:
        raise _exists(existing)
    with NewFiles(overwrite=False) as new_files:
        for path, text in texts.items():
            with new_files.create(folder / path) as stream:
                stream.write(text.encode())
    return NewPlugin(tuple(folder / path for path in texts), listing)
