"""Imports plugins that are single files."""

from __future__ import annotations

import hashlib
import importlib.util
import shlex
import stat
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from bootstrapper.config.files import require_regular
from bootstrapper.config.recent import Recent
from bootstrapper.errors import GuardError, PluginError, Source

Quote = Callable[[str], str]

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


_IMPORTED = Recent[tuple[Path, bytes], ModuleType](most=64)
_IMPORTING = threading.RLock()


def require_unshared(folder: Path, source: Source | None) -> None:
    """Raises GuardError if other users may write to the folder or to a file of Python in it; before any is imported."""
    paths = [folder, *sorted(folder.glob("*.py"))]
    found = [str(path) for path in paths if path.exists() and path.stat().st_mode & _WRITABLE_BY_OTHERS]
    if found:
        raise GuardError(
            f"plugins of a protected environment must not be writable by other users: {found[0]}",
            details=[f"also {path}" for path in found[1:]],
            hint=f"chmod go-w {shlex.join(found)}",
            source=source,
        )


def import_file(path: Path, quote: Quote) -> ModuleType:
    """Imports the file; once in a process, as Python does, unless its content has changed."""
    with _IMPORTING:  # another thread would find a module that is half imported
        content = _content(path)
        if content is None:
            return _import_now(path, quote)
        module = _IMPORTED.get((path, content), lambda: _import_now(path, quote))
        sys.modules[module.__name__] = module
        return module


def _content(path: Path) -> bytes | None:
    """Returns the content; None if it cannot be read, which the import reports."""
    try:
        require_regular(path)
        return path.read_bytes()
    except OSError:
        return None


def _import_now(path: Path, quote: Quote) -> ModuleType:
    folder = hashlib.sha256(bytes(path.parent)).hexdigest()[:12]  # two folders may contain files of the same name
    name = f"bootstrapper_local_plugins.{folder}.{path.stem}"
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
        raise PluginError(str(path), quote(_import_failure(error, path))) from error
    return module


def _import_failure(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        at = f"line {error.lineno}: " if error.lineno else ""
        return f"fails to import: {at}{error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    at = f"line {lines[-1]}: " if lines else ""
    return f"fails to import: {at}{type(error).__name__}: {error}"
