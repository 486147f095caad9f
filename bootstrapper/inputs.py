"""One digest over everything that decides what a run does, the database's address aside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bootstrapper import __version__
from bootstrapper.document import UnsetVariable, expand
from bootstrapper.step import Value

_ADDRESS_KEY = "database"


def digest(
    data: Mapping[str, object],
    files: Iterable[Path],
    *,
    environment: str | None,
    variables: Mapping[str, str],
    values: Mapping[str, type[Value]],
) -> str:
    """SHA-256 in hex over the file's data, the texts its variables give, and the contents of other files.

    Arguments of secret value functions count as they are written: a secret is in no digest.
    """
    state = hashlib.sha256(f"{__version__}\0{environment}\0".encode())
    rest = {key: item for key, item in data.items() if key != _ADDRESS_KEY}
    for text in _texts(rest, variables, values):
        state.update(text.encode() + b"\0")
    for path in sorted(set(files)):
        state.update(hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"missing")
    return state.hexdigest()


def _texts(raw: object, variables: Mapping[str, str], values: Mapping[str, type[Value]]) -> Iterator[str]:
    """Everything below a node in order, with brackets, so that no two structures read the same."""
    if isinstance(raw, Mapping):
        yield "{"
        for key, item in raw.items():
            yield str(key)
            kind = values.get(str(key))
            yield from _texts(item, {} if kind is not None and kind.secret else variables, values)
        yield "}"
    elif isinstance(raw, list):
        yield "["
        for item in raw:
            yield from _texts(item, variables, values)
        yield "]"
    else:
        yield _expanded(raw, variables)


def _expanded(raw: object, variables: Mapping[str, str]) -> str:
    if not isinstance(raw, str):
        return f"{type(raw).__name__} {raw}"
    try:
        return expand(raw, variables).text
    except (UnsetVariable, ValueError):
        return raw
