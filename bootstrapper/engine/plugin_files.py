"""Imports plugins that are single files, with the files beside them that they import.

The files of a folder are modules of one package, which has a name that nothing else has: a plugin imports a file beside
it as `from ._names import quoted`, whatever else is installed, or lies in another folder, under that name.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import shlex
import stat
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import all_suffixes
from pathlib import Path
from types import ModuleType

from bootstrapper.config.files import require_regular
from bootstrapper.engine.plugin_api import require_file_supported
from bootstrapper.errors import GuardError, PluginError, Source

Quote = Callable[[str], str]

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_PACKAGES = "bootstrapper_local_plugins"
_COMPILED = "__pycache__"

_IMPORTING = threading.RLock()


def sources(folder: Path) -> list[Path]:
    """Returns the Python files that a plugin of the folder can import: in it, and in its packages at any depth."""
    return [path for path in _importable(folder) if path.suffix == ".py"]


def require_unshared(folder: Path, source: Source | None) -> None:
    """Raises GuardError if other users may write to what is imported, or to a folder of it; before it is imported."""
    paths = [folder, *_importable(folder, compiled=True)]
    found = [str(path) for path in paths if path.exists() and path.stat().st_mode & _WRITABLE_BY_OTHERS]
    if found:
        raise GuardError(
            f"plugins of a protected environment must not be writable by other users: {found[0]}",
            details=[f"also {path}" for path in found[1:]],
            hint=f"chmod go-w {shlex.join(found)}",
            source=source,
        )


def package_of(folder: Path, files: Sequence[Path]) -> str:
    """Returns the name of the package of a folder, whose files are these: another one once any of them has changed."""
    state = hashlib.sha256(bytes(folder.absolute()))
    for path in files:
        state.update(b"\0%s\0%s" % (bytes(path), hashlib.sha256(_content(path)).digest()))
    name = f"{_PACKAGES}.{state.hexdigest()[:16]}"
    with _IMPORTING:
        _register(_PACKAGES, [])
        _register(name, [str(folder.absolute())])
    return name


def import_file(path: Path, package: str, quote: Quote) -> ModuleType:
    """Imports the file; once in a process, as Python does, unless a file of its package has changed."""
    name = f"{package}.{path.stem}"
    with _IMPORTING:  # another thread would find a module that is half imported
        found = sys.modules.get(name)
        return found if found is not None else _import_now(path, name, quote)


def _importable(folder: Path, *, compiled: bool = False) -> Iterator[Path]:
    """Yields folders and Python files below a folder that an import can reach, in the order of their names.

    Args:
        compiled: Whether to yield what Python has compiled as well, which it runs without reading the source.
    """
    known = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = sorted(name for name in folders if name.isidentifier() and (compiled or name != _COMPILED))
        if real in known:  # a link that leads back
            folders.clear()
            continue
        known.add(real)
        yield from (Path(place, name) for name in folders)
        suffixes = tuple(all_suffixes()) if compiled else (".py",)
        yield from (Path(place, name) for name in sorted(files) if name.endswith(suffixes))


def _content(path: Path) -> bytes:
    """Returns the content; nothing if it cannot be read, which the import reports."""
    try:
        require_regular(path)
        return path.read_bytes()
    except OSError:
        return b""


def _register(name: str, places: list[str]) -> None:
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = places
        sys.modules[name] = package
        importlib.invalidate_caches()  # files that were added a moment ago


def _import_now(path: Path, name: str, quote: Quote) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look their module up while it is being made
    try:
        require_regular(path)
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        require_file_supported(path)
        raise PluginError(str(path), quote(_import_failure(error, path)), hint=_import_hint(error, path)) from error
    return module


def _import_failure(error: BaseException, path: Path) -> str:
    """Returns what is wrong, with the line: that of a file beside it, if that failed."""
    if isinstance(error, SyntaxError):
        at = _at(error.lineno, error.filename, path) if error.lineno else ""
        return f"fails to import: {at}{error.msg}"
    folder = f"{path.parent}{os.sep}"
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename.startswith(folder)]
    at = _at(frames[-1].lineno, frames[-1].filename, path) if frames else ""
    return f"fails to import: {at}{type(error).__name__}: {error}"


def _import_hint(error: BaseException, path: Path) -> str | None:
    """Returns how a file is imported that lies beside the plugin and was looked for among installed modules."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    is_beside = name and (path.with_name(f"{name}.py").is_file() or path.with_name(name).is_dir())
    return f"Import what lies beside it with a dot: from .{name} import ..." if is_beside else None


def _at(line: int | None, file: str | None, path: Path) -> str:
    return f"line {line}: " if file in (None, str(path)) else f"{file}, line {line}: "
