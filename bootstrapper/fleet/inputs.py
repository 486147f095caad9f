"""Asks the engine what a run of a target reads, and which of those files its variables name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from bootstrapper.config import load
from bootstrapper.config.document import OF_TARGET, Place, expand
from bootstrapper.config.load import Loaded
from bootstrapper.engine import plugins
from bootstrapper.engine.digest import files_of
from bootstrapper.engine.open import Resolved, resolve
from bootstrapper.engine.recorded_inputs import Inputs, named_inputs
from bootstrapper.engine.request import Request
from bootstrapper.errors import BootstrapperError
from bootstrapper.fleet.checkout import DISTRIBUTION, PROGRAM, Checkout, parts_of
from bootstrapper.fleet.targets import Target
from bootstrapper.plugin.step import Step

_TRIED = 3
"""A target that lacks a variable says nothing about the others, so that another one is asked."""
_OF_TARGET = re.compile(r"\$\{(target\.[A-Za-z_][A-Za-z0-9_]*)[^}]*\}")


def checkout_of(request: Request, targets: Iterable[Target]) -> Checkout:
    """Returns what a run reads for the first target; only the file and those beside it if it is valid for none."""
    folder = str(request.file.absolute().parent)
    program = (PROGRAM, "bootstrapper")
    for target in islice(targets, _TRIED):
        variables = {**request.variables, **target.of_request}
        try:
            resolved = resolve(replace(request, variables=variables), "fleet", connects=False)
            names = list(_names(resolved))
        except BootstrapperError:  # which the target itself reports
            continue
        installed = [(DISTRIBUTION, text.partition(" ")[0]) for text in resolved.plugins.versions]
        return parts_of((program, *installed, *names), folder, target.of_request)
    read = Inputs(load.files_read(request.file, request.environment, request.variables), (), {}, 0)
    return parts_of((program, *named_inputs(read, Path(folder))), folder, {})


def _names(resolved: Resolved) -> Iterator[tuple[str, str]]:
    """Yields the names of what is read; again with the variables of the target in them, if a path is made of some."""
    loaded, project = resolved.loaded, resolved.project
    steps = (entry.unit for entry in resolved.every if isinstance(entry.unit, Step))
    contents = files_of(loaded.document.data, loaded.variables, project.values)
    folders = (plugins.folders([text], loaded.directory) for text in loaded.config.plugins)  # None if it is installed
    paths = [
        *(path.absolute() for path in loaded.files),
        *(path for step in steps for path in step.inputs(project)),
        *(project.path(text) for text in contents),
        *(path.absolute() for found in folders for path in found or ()),
    ]
    templates = dict(sorted(_templates(loaded), key=lambda each: -len(each[0])))
    for kind, name in named_inputs(Inputs(paths, (), {}, 0), loaded.directory):
        yield kind, name  # of all targets: a value that happens to be the name of a folder decides nothing
        path = next((path for path in templates if name == path or name.startswith(f"{path}{os.sep}")), None)
        if path is not None:
            yield kind, f"{templates[path]}{name.removeprefix(path)}"


def _templates(loaded: Loaded) -> Iterator[tuple[str, str]]:
    """Yields what the texts with variables of the target are for this one as paths, and as the file writes them."""
    for place, text in _texts(loaded.document.data, ()):
        if f"${{{OF_TARGET}" not in text or "$${" in text:
            continue
        kept = {found[1]: found[0] for found in _OF_TARGET.finditer(text)}
        try:
            template, path = expand(text, {**loaded.variables, **kept}).text, expand(text, loaded.variables).text
        except ValueError:
            continue
        written_in = Path(loaded.document.source(place).file).absolute().parent  # where paths of an overlay start
        for start in {Path(), Path(os.path.relpath(written_in, loaded.directory))}:
            yield os.path.normpath(start / path), os.path.normpath(start / template)


def _texts(raw: object, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(raw, str):
        yield place, raw
    elif isinstance(raw, Mapping):
        for key, item in raw.items():
            yield from _texts(item, (*place, key))
    elif isinstance(raw, list):
        for number, item in enumerate(raw):
            yield from _texts(item, (*place, number))
