"""What is said of code of a plugin that raised an error, and of which line of it."""

from __future__ import annotations

import ast
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

from pydantic import ValidationError

import bootstrapper
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import BootstrapperError, PluginError, Source

_OURS = f"{Path(bootstrapper.__file__).parent}{os.sep}"
_STANDARD = f"{Path(os.__file__).parent}{os.sep}"
_INSTALLED = ("site-packages", "dist-packages")
ORIGIN = "__bootstrapper_plugin__"
"""The attribute of a guarded class that names its plugin."""
_PLACE = "bootstrapper_place"
_WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class Place:
    """Where a method of a plugin asked the server for what it refused.

    Attributes:
        said: Plugin, method and line.
        file: The file of the method.
        reads: Whether the method may only read.
    """

    said: str
    file: str
    reads: bool

    @property
    def words(self) -> str:
        """The words in the texts of the file, one a line: those of its SQL, and no values."""
        try:
            tree = ast.parse(Path(self.file).read_bytes())
        except (OSError, ValueError, SyntaxError):
            return ""
        texts = [
            each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and isinstance(each.value, str)
        ]
        return "\n".join(word for text in texts for word in _WORD.findall(text))


def note_place(error: BaseException, place: Place) -> None:
    """Notes where an error of the server comes from, unless a call further inside has."""
    if place_of(error) is None:
        setattr(error, _PLACE, place)


def place_of(error: BaseException) -> Place | None:
    """Returns where in a plugin an error of the server comes from; None if no method of one sent the statement."""
    found = getattr(error, _PLACE, None)
    return found if isinstance(found, Place) else None


def is_ours(kind: Any) -> bool:
    """Returns whether a class is defined in this package, and not by a plugin."""
    return str(getattr(kind, "__module__", "")).partition(".")[0] == bootstrapper.__name__


def origin_of(unit: object) -> str | None:
    """Returns the plugin that a guarded class of an object comes from; None for one of ours."""
    return getattr(type(unit), ORIGIN, None)


@contextmanager
def loading(
    origin: str,
    what: str,
    source: Source | None = None,
    quote: Callable[[str], str] = str,
    hint: Callable[[BaseException], str | None] = lambda _: None,
) -> Iterator[None]:
    """Turns whatever the code of a plugin raises into a PluginError."""
    try:
        yield
    except BootstrapperError:
        raise
    except (Exception, SystemExit) as error:
        said = quote(f"{what} {raised(error)}{line_of(error, origin)}")
        raise PluginError(origin, said, hint=hint(error), source=source) from error


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
    """Returns the last line of the plugin that the error passed: of the method's own file, or of one beside it.

    Nothing where it passed only the standard library.
    """
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not _is_library(each.filename)]
    file = code.co_filename if code is not None else origin
    own = [each for each in frames if each.filename == file]
    beside = [each for each in frames if Path(each.filename).parent == Path(file).parent]
    last = next(reversed(own or beside or frames), None)
    return at_line(last.lineno, last.filename, origin) if last is not None else ""


def _is_library(file: str) -> bool:
    """Returns whether a file is one of ours, or of the standard library."""
    if file.startswith((_OURS, "<frozen ")):
        return True
    return file.startswith(_STANDARD) and not file.removeprefix(_STANDARD).startswith(_INSTALLED)


def at_line(line: int | None, file: str, origin: str) -> str:
    return f", line {line}" if file == origin else f", line {line} of {file}"
