"""Computes one digest over everything that decides what a run does, except the database's address."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bootstrapper import __version__
from bootstrapper.config import files as contents
from bootstrapper.config.document import UnsetVariable, expand
from bootstrapper.config.run_cache import RunCache
from bootstrapper.plugin.value import Value

_ELSEWHERE = ("database", "fleet")
"""Where the database is, and beside which others, does not decide what is done to it."""


def digest(
    data: Mapping[str, object],
    files: Iterable[Path],
    *,
    environment: str | None,
    variables: Mapping[str, str],
    values: Mapping[str, type[Value]],
    versions: Iterable[str] = (),
    cache: RunCache | None = None,
) -> str:
    """Returns the SHA-256 in hex over the file's data, the values of its variables, and the contents of other files.

    Arguments of secret value functions count as they are written: a secret is in no digest. `versions` are those of
    installed plugins; `cache` is that of the run, so that a large file is not read again for its digest.
    """
    tools = "\0".join([__version__, *versions])
    state = hashlib.sha256(f"{tools}\0{environment}\0".encode())
    rest = {key: item for key, item in data.items() if key not in _ELSEWHERE}
    functions = {key: kind() for key, kind in values.items()}
    _add(state, _texts(rest, variables, functions), files, cache)
    return state.hexdigest()


def digest_of(
    raw: object,
    files: Iterable[Path],
    *,
    variables: Mapping[str, str],
    functions: Mapping[str, Value],
    cache: RunCache,
) -> str:
    """Returns a digest, as `digest` does, of one part of the file."""
    state = hashlib.sha256()
    _add(state, _texts(raw, variables, functions), files, cache)
    return state.hexdigest()


def files_of(raw: object, variables: Mapping[str, str], functions: Mapping[str, Value]) -> Iterator[str]:
    """Yields the paths of the files whose content value functions read, those of secrets aside."""
    for key, item in raw.items() if isinstance(raw, Mapping) else ():
        function = functions.get(str(key))
        if function is None:
            yield from files_of(item, variables, functions)
        elif not function.is_secret(item):
            yield from (str(_expanded(path, variables)) for path in function.files(item))
            yield from files_of(item, variables, functions)
    for item in raw if isinstance(raw, list) else ():
        yield from files_of(item, variables, functions)


def _add(state: hashlib._Hash, texts: Iterable[str], files: Iterable[Path], cache: RunCache | None) -> None:
    for text in texts:
        content = text.encode(errors="backslashreplace")
        state.update(b"%d:%s" % (len(content), content))
    known = cache if cache is not None else RunCache()
    for name, found in sorted((path.name, _content(path, known)) for path in set(files)):
        state.update(f"{name}\0{found}\0".encode(errors="backslashreplace"))


def _content(path: Path, cache: RunCache) -> str:
    """Returns the digest of a file; one that cannot be read is reported by what needs it."""
    try:
        return contents.sha256(cache, path)
    except OSError as error:
        return type(error).__name__


def _texts(raw: object, variables: Mapping[str, str], functions: Mapping[str, Value]) -> Iterator[str]:
    """Yields everything below a node in order, each with its kind, so that different structures differ."""
    if isinstance(raw, Mapping):
        yield f"mapping of {len(raw)}"
        for key, item in raw.items():
            yield f"key {key}"
            function = functions.get(str(key))
            is_secret = function is not None and function.is_secret(item)
            if function is not None and not is_secret:
                yield from (f"variable {variables.get(name)}" for name in function.variables(item))
            yield from _texts(item, {} if is_secret else variables, functions)
    elif isinstance(raw, list):
        yield f"list of {len(raw)}"
        for item in raw:
            yield from _texts(item, variables, functions)
    else:
        yield f"{type(raw).__name__} {_expanded(raw, variables)}"


def _expanded(raw: object, variables: Mapping[str, str]) -> str:
    if not isinstance(raw, str):
        return str(raw)
    try:
        return expand(raw, variables).text
    except (UnsetVariable, ValueError):
        return raw
