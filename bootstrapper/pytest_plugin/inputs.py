"""The key of a template: everything that decides what bootstrapping makes, as 16 hex digits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bootstrapper.config.sensitive import VARIABLE
from bootstrapper.engine.open import Opened
from bootstrapper.errors import UsageError
from bootstrapper.plugin.project import Project
from bootstrapper.pytest_plugin.wanted import Wanted

_FORMAT = 1
"""Raised when templates are made differently."""

_ADDRESS_KEY = "database"


def project_key(wanted: Wanted) -> str:
    """Returns what stays when the inputs change: the file and the environment."""
    return hashlib.sha256(f"{wanted.file.absolute()}\0{wanted.environment}".encode()).hexdigest()[:16]


def template_key(run: Opened, wanted: Wanted) -> str:
    """Returns the key of the template that these inputs make, on the server of the run.

    The digest of the project leaves out the values of secrets, and files that only `$file` names. They count here,
    since a template with an earlier password is of no use. All is hashed slowly, so that a password cannot be guessed
    from the key any faster than from a stored hash of it.
    """
    project = run.project
    facts = {
        "format": _FORMAT,
        "project": project_key(wanted),
        "inputs": project.inputs,
        "server": run.session.server.major,
        "role": run.session.connection.info.user,
        "skip": sorted(wanted.skip),
        "variables": {name: project.variables.get(name) for name in sorted(set(_variables(project)))},
        "files": {str(path): _sha256(path) for path in sorted({*_named(_declared(project), project), *_more(wanted)})},
    }
    text = json.dumps(facts, sort_keys=True).encode()
    return hashlib.scrypt(text, salt=b"bootstrapper", n=2**13, r=8, p=1, dklen=8).hex()


def _declared(project: Project) -> dict[str, Any]:
    return {key: item for key, item in project.document.data.items() if key != _ADDRESS_KEY}


def _variables(project: Project) -> Iterator[str]:
    """Yields the names of the variables that the file reads, apart from those of the address."""
    for key, item in _entries(_declared(project)):
        function = project.values.get(key)
        if function is not None:
            yield from function.variables(item)
        if isinstance(item, str):
            yield from (match["name"] for match in VARIABLE.finditer(item))


def _entries(raw: object, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yields everything below a node, with the key that it stands under."""
    yield key, raw
    if isinstance(raw, Mapping):
        for name, item in raw.items():
            yield from _entries(item, str(name))
    elif isinstance(raw, list):
        for item in raw:
            yield from _entries(item)


def _named(raw: object, project: Project) -> Iterator[Path]:
    """Yields the files of `$file`, unless a variable decides which."""
    for key, item in _entries(raw):
        if key == "$file" and isinstance(item, str):
            yield project.path(item)


def _more(wanted: Wanted) -> Iterator[Path]:
    """Yields the files that `bootstrap_inputs` names; a pattern that finds none is misspelt."""
    for pattern in wanted.inputs:
        found = [path for path in wanted.root.glob(pattern) if path.is_file()]
        if not found:
            raise UsageError(f"bootstrap_inputs: {pattern!r} matches no file in {wanted.root}")
        yield from found


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:  # reported by what needs the file
        return type(error).__name__
