"""What is said of code of a plugin that raised an error, and of which line of it."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

from pydantic import ValidationError

import bootstrapper
from bootstrapper.errors import BootstrapperError, PluginError, Source

_OURS = f"{Path(bootstrapper.__file__).parent}{os.sep}"


def is_ours(kind: Any) -> bool:
    """Returns whether a class is defined in this package, and not by a plugin."""
    return str(getattr(kind, "__module__", "")).partition(".")[0] == bootstrapper.__name__


@contextmanager
def loading(origin: str, what: str, source: Source | None = None, quote: Callable[[str], str] = str) -> Iterator[None]:
    """Turns whatever the code of a plugin raises into a PluginError."""
    try:
        yield
    except BootstrapperError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(origin, quote(f"{what} {raised(error)}{line_of(error, origin)}"), source=source) from error


@contextmanager
def validating(model: Any) -> Iterator[None]:
    """Turns what the validators of a plugin's model raise, other than an error of validation, into a PluginError."""
    try:
        yield
    except (BootstrapperError, ValidationError):
        raise
    except (Exception, SystemExit) as error:
        if is_ours(model):
            raise
        name = getattr(model, "__qualname__", str(model))
        module = sys.modules.get(str(getattr(model, "__module__", "")))
        origin = getattr(module, "__file__", None) or name
        raise PluginError(origin, f"{name} {raised(error)}{line_of(error, origin)}") from error


def raised(error: BaseException) -> str:
    """Returns what a plugin raised, in words."""
    if isinstance(error, SystemExit):
        code = "" if error.code is None else repr(error.code)
        return f"called sys.exit({code})"
    said = text_of(error)
    return f"raised {type(error).__name__}{': ' if said else ''}{said}"


def text_of(error: BaseException) -> str:
    """Returns the text of the error; none if the plugin's class fails to make it."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - any code of the plugin may fail in any way
        return ""


def is_raised_by_plugin(error: BaseException) -> bool:
    """Returns whether code that is not ours raised the error itself."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and not frames[-1].filename.startswith(_OURS)


def line_of(error: BaseException, origin: str, code: CodeType | None = None) -> str:
    """Returns the line at which the code of a plugin raised the error: in the method's own file, if it is there."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith(_OURS)]
    own = [each for each in frames if code is not None and each.filename == code.co_filename]
    last = next(reversed(own or frames), None)
    return at_line(last.lineno, last.filename, origin) if last is not None else ""


def at_line(line: int | None, file: str, origin: str) -> str:
    return f", line {line}" if file == origin else f", line {line} of {file}"
